# SPDX-License-Identifier: BSD-3-Clause
"""What a deployment has on its machine, and whether each thing belongs to somebody who lives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from shoal import eal_files, slabs
from shoal.controller.splitter_client import SplitterClient
from shoal.errors import ShoalError
from shoal.model import ClusterStatus, InstanceState
from tests.smoke.mortal import Mortal

GONE_S = 30.0  # of what is removed in the background, on a busy machine
MEMBERS = 16  # more than any test starts
MEMBERS_WITH_RINGS = (InstanceState.ACTIVE, InstanceState.LEAVING, InstanceState.JOINING)


class Belongings:
    """Of one deployment."""

    def __init__(self, deployment: Mortal) -> None:
        self._deployment = deployment
        self._directory = deployment.directory
        self._clusters: set[str] = set()  # all numbers that it had
        self._names = {
            slabs.candidates(self._directory.instance(name).path, 0)[0].name.rpartition("-")[0]: name
            for name in (f"nat-{number}" for number in range(1, MEMBERS + 1))
        }

    def note(self) -> None:
        """While there is a store: by its number DPDK's files are found later."""
        self._clusters |= {text for (text,) in self._deployment.read_store("SELECT cluster FROM deployment")}

    async def all_known(self) -> None:
        """Waits until all that there is belongs to somebody whom the controller knows."""
        await self._until_none(self._unknown)

    async def all_gone(self) -> None:
        """Waits until there is nothing; after `shoal down`."""

        async def found() -> list[str]:
            return [*self.strangers(None)]

        await self._until_none(found)

    async def _unknown(self) -> list[str]:
        try:
            status = await self._deployment.status()
            rings = await self._rings(status)
        except ShoalError as error:
            return [str(error)]
        self.note()
        return [*self.strangers(status), *rings, *self._rows(status)]

    async def _until_none(self, look: Callable[[], Awaitable[list[str]]]) -> None:
        found: list[str] = []
        try:
            async with asyncio.timeout(GONE_S):
                while found := await look():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            story = f"{await self._deployment.story()}{self._deployment.logs()}"
            raise AssertionError(f"left over: {'; '.join(found)}{story}") from None

    def strangers(self, status: ClusterStatus | None) -> Iterator[str]:
        """Processes, directories, slabs and files of DPDK's that are of nobody in `status`; None: nobody is there."""
        processes, lives = set[int](), dict[str, int]()
        if status is not None:
            processes = {status.process, status.splitter_process, *(each.process for each in status.instances)}
            lives = {each.name: each.life for each in status.instances}
        yield from (f"process {number}: {line}" for number, line in self._processes() if number not in processes)
        yield from (str(each.path) for each in self._directory.instances() if each.path.name not in lives)
        for path in slabs.all_directories(self._directory.path):
            digest, _, life = path.name.rpartition("-")
            if digest in self._names and life != str(lives.get(self._names[digest])):
                yield f"{path} of {self._names[digest]}"
        yield from (str(path) for path in self._of_dpdk() if not _is_of(path, processes))

    def _processes(self) -> Iterator[tuple[int, str]]:
        """Those that were started for this directory."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_text(errors="replace").split("\0")
                if any(Path(word).is_relative_to(self._directory.path) for word in words):
                    yield int(path.parent.name), " ".join(words)

    def _of_dpdk(self) -> Iterator[Path]:
        places = [eal_files.runtime_root(), *(each.point for each in slabs.mounts() if each.kind == "hugetlbfs")]
        for place in places:
            for cluster in self._clusters:
                yield from place.glob(f"shoal-{cluster}-*")

    async def _rings(self, status: ClusterStatus) -> list[str]:
        """Packet rings of the splitter that are nobody's."""
        client = SplitterClient(self._directory.splitter.address, 0)
        try:
            numbers = (await client.report()).members
        finally:
            await client.close()
        known = {each.member for each in status.instances if each.state in MEMBERS_WITH_RINGS}
        return [f"a packet ring of member {number}" for number in numbers - known]

    def _rows(self, status: ClusterStatus) -> list[str]:
        """What the store remembers of others, or of what is over."""
        names = {each.name for each in status.instances}
        stored = {str(name) for (name,) in self._deployment.read_store("SELECT name FROM instances")}
        left = [f"{name} in the store" for name in stored ^ names]
        for table in ("plan", "view"):
            left += [f"a {table} in the store" for _ in self._deployment.read_store(f"SELECT * FROM {table}")]  # noqa: S608
        return left


def _is_of(path: Path, processes: set[int]) -> bool:
    """By DPDK's prefix, which ends with the process's number."""
    return any(path.name.endswith(f"-{number}") or f"-{number}map_" in path.name for number in processes)
