# SPDX-License-Identifier: BSD-3-Clause
"""The instance's process: python -m shoal.agent DIRECTORY. The controller starts it, configures it over the socket in
that directory, and ends it; it outlives the controller."""

import argparse
import asyncio
from pathlib import Path

from shoal.agent.service import InstanceService
from shoal.process_host import begin_when_noted, hosted, start_logging
from shoal.proto import instance_pb2, instance_pb2_grpc
from shoal.rpc import Server
from shoal.run_directory import ProcessDirectory, make_private

GRACE_S = 0.5


async def serve(directory: ProcessDirectory) -> None:
    async with hosted(directory) as stop:
        service = InstanceService(directory, stop)
        server = Server(
            directory.address,
            [instance_pb2.DESCRIPTOR.services_by_name["InstanceService"].full_name],
            lambda server: instance_pb2_grpc.add_InstanceServiceServicer_to_server(service, server),
        )
        await server.start()
        try:
            await stop.wait()
        finally:
            service.end_streams()
            await server.stop(GRACE_S)
            await service.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="shoal.agent", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--begin-when-noted", action="store_true", help="first wait for a byte on standard input")
    arguments = parser.parse_args()
    if arguments.begin_when_noted:
        begin_when_noted()
    directory = ProcessDirectory(make_private(arguments.directory.absolute()))
    start_logging(directory.path.name)
    asyncio.run(serve(directory))


if __name__ == "__main__":
    main()
