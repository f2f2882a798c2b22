# SPDX-License-Identifier: BSD-3-Clause
"""The controller's process: python -m shoal.controller DIRECTORY [--listen ADDRESS]. `shoal up` starts it. When it
ends, instances and splitter stay and forward; started again in the same directory it takes them up."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from shoal.controller.cluster import Cluster
from shoal.controller.config import Config
from shoal.controller.genuine import StaleStoreError
from shoal.controller.launcher import LocalLauncher
from shoal.controller.observation import Observation
from shoal.controller.service import ControllerService
from shoal.controller.store import Store
from shoal.errors import RefusedError
from shoal.event_log import EventLog
from shoal.metrics import Exporter
from shoal.process_host import cancelled, hosted, start_logging
from shoal.proto import controller_pb2, controller_pb2_grpc
from shoal.rpc import Server
from shoal.run_directory import RunDirectory

GRACE_S = 1.0
STATUS_IN_USE = os.EX_TEMPFAIL
SERVICE = controller_pb2.DESCRIPTOR.services_by_name["ControllerService"].full_name


class Metrics:
    """The metrics endpoint, once the deployment says where."""

    def __init__(self, cluster: Cluster, observation: Observation) -> None:
        self._cluster = cluster
        self._observation = observation
        self._exporter: Exporter | None = None
        self._tried: Config | None = None  # the deployment for which it was opened, or could not be

    async def follow(self, events: EventLog) -> None:
        """Opens and closes it as deployments come and go."""
        async for _ in events.watch(0):
            config = self._cluster.config
            if config is not None and config.metrics is not None and config is not self._tried:
                self._tried = config
                try:
                    self._exporter = Exporter(config.metrics.address, self._observation.metrics)
                except RefusedError as error:
                    events.add("metrics.refused", "controller", str(error))
            if config is None:
                await self.close()

    async def close(self) -> None:
        exporter, self._exporter, self._tried = self._exporter, None, None
        if exporter is not None:
            await asyncio.to_thread(exporter.close)


async def _reign(cluster: Cluster, server: Server, stop: asyncio.Event) -> None:
    """Until it is told to end. It answers before it has taken up all that an earlier controller left."""
    await cluster.take_up()
    await server.start()
    resuming = asyncio.create_task(cluster.resume(), name="resume")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((resuming, stopping), return_when=asyncio.FIRST_COMPLETED)
        if resuming.done():
            resuming.result()
        await stopping
    finally:
        await cancelled(resuming, stopping)


async def serve(run_directory: RunDirectory, listen: str) -> None:
    events = EventLog()
    directory = run_directory.controller
    # Before anything else: a second controller of this directory must not begin a reign.
    if not run_directory.claim():
        remark = f"{run_directory.path} is in use: a controller runs there"
        print(remark, file=sys.stderr, flush=True)
        raise SystemExit(STATUS_IN_USE)
    guard = Server(listen or directory.address, [], lambda _: None)
    await guard.check_free()
    store = await asyncio.to_thread(Store, run_directory.store)
    async with hosted(directory) as stop:
        cluster = Cluster(store, LocalLauncher(), run_directory, events, stop.set)
        observation = Observation(cluster, store)
        metrics = Metrics(cluster, observation)
        service = ControllerService(cluster, observation, events)
        server = Server(
            listen or directory.address,
            [SERVICE],
            lambda server: controller_pb2_grpc.add_ControllerServiceServicer_to_server(service, server),
        )
        refused = False
        following = asyncio.create_task(metrics.follow(events), name="metrics")
        try:
            await _reign(cluster, server, stop)
        except StaleStoreError as error:
            # Nothing has been commanded, and nothing will be: what lies there stays.
            refused = True
            raise SystemExit(f"{run_directory.store} is refused: {error}") from None
        finally:
            events.close()
            await server.stop(GRACE_S)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await metrics.close()
            await cluster.close()
            empty = store.deployment() is None and not refused
            store.close()
            if empty:
                run_directory.clear()


def main() -> None:
    parser = argparse.ArgumentParser(prog="shoal.controller", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--listen", default="", help="host:port instead of the directory's socket")
    arguments = parser.parse_args()
    run_directory = RunDirectory(arguments.directory.absolute())
    run_directory.create()
    start_logging("controller")
    asyncio.run(serve(run_directory, arguments.listen))


if __name__ == "__main__":
    main()
