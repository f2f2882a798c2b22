# SPDX-License-Identifier: BSD-3-Clause
"""The splitter's process: python -m shoal.splitter DIRECTORY. The controller starts it and configures it over the
socket in that directory; it outlives the controller."""

import argparse
import asyncio
from pathlib import Path

from shoal.process_host import begin_when_noted, hosted, start_logging
from shoal.proto import splitter_pb2, splitter_pb2_grpc
from shoal.rpc import Server
from shoal.run_directory import ProcessDirectory, make_private
from shoal.splitter.service import SplitterService

GRACE_S = 0.5


async def serve(directory: ProcessDirectory) -> None:
    async with hosted(directory) as stop:
        service = SplitterService(directory, stop)
        server = Server(
            directory.address,
            [splitter_pb2.DESCRIPTOR.services_by_name["SplitterService"].full_name],
            lambda server: splitter_pb2_grpc.add_SplitterServiceServicer_to_server(service, server),
        )
        await server.start()
        try:
            await stop.wait()
        finally:
            service.end_streams()
            await server.stop(GRACE_S)
            await service.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="shoal.splitter", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--begin-when-noted", action="store_true", help="first wait for a byte on standard input")
    arguments = parser.parse_args()
    if arguments.begin_when_noted:
        begin_when_noted()
    directory = ProcessDirectory(make_private(arguments.directory.absolute()))
    start_logging("splitter")
    asyncio.run(serve(directory))


if __name__ == "__main__":
    main()
