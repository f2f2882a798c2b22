# SPDX-License-Identifier: BSD-3-Clause
"""A deployment of one test, run by the command line in a namespace, with a run directory of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.smoke.network import Namespace, Network

SHOAL = str(Path(sys.executable).with_name("shoal"))
NAT = """\
network_function:
  name: nat
  settings: {{ public_addresses: "{public}", inside_prefixes: 16.0.0.0/8 }}
ports:
  inside: {{ device: "{inside}" }}
  outside: {{ device: "{outside}" }}
instances: {{ count: 1 }}
"""
# Devices on a link of the kernel's, by driver.
DEVICES = {
    "af_packet": "net_af_packet{number},iface={link},framecnt=16384",
    "af_xdp": "net_af_xdp{number},iface={link}",
}


class CommandError(RuntimeError):
    """A command of the command line failed; the text holds what it said."""


class Deployment:
    """Commands to one deployment."""

    def __init__(self, where: Namespace, directory: Path) -> None:
        self._where = where
        self.directory = directory

    async def command(self, *words: str, deadline_s: float = 120) -> str:
        """Runs `shoal WORDS` in the namespace; its standard output. CommandError where it fails or takes too long."""
        process = await asyncio.create_subprocess_exec(
            *self._where.command(SHOAL, *words),
            env=os.environ | {"SHOAL_RUN_DIRECTORY": str(self.directory), "NO_COLOR": "1", "COLUMNS": "160"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(deadline_s):
                output, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise CommandError(f"shoal {' '.join(words)}: no end after {deadline_s:.0f} s\n{self.logs()}") from None
        if process.returncode:
            said = (output + errors).decode(errors="replace")
            raise CommandError(f"shoal {' '.join(words)}: status {process.returncode}: {said}\n{self.logs()}")
        return output.decode()

    async def scale(self, instances: int) -> None:
        await self.command("scale", "nat", str(instances))

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.command("status", "--json"))
        return found

    def logs(self, lines: int = 15) -> str:
        """The ends of all logs, for a failed test's report."""
        found = []
        for path in sorted(self.directory.rglob("log")):
            text = path.read_text(errors="replace").splitlines()[-lines:]
            found.append(f"--- {path.relative_to(self.directory)}\n" + "\n".join(text))
        return "\n".join(found)


@contextlib.asynccontextmanager
async def deployed(where: Namespace, config: str, directory: Path) -> AsyncIterator[Deployment]:
    """Up, and down again whatever happens; processes that would stay are a fault."""
    made = Deployment(where, directory / "run")
    file = directory / "shoal.yaml"
    file.write_text(config)
    try:
        await made.command("up", str(file))
        yield made
    finally:
        await made.command("down")
    assert left_over(made.directory) == []


def left_over(directory: Path) -> list[str]:
    """Command lines of processes that name the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if str(directory) in command:
                found.append(command)
    return found


def nat_config(network: Network, extra: str = "", driver: str = "af_packet") -> str:
    """The NAT between the network's two links."""
    inside, outside = (
        DEVICES[driver].format(number=number, link=link)
        for number, link in enumerate((network.inside, network.outside))
    )
    return NAT.format(public=", ".join(network.public_addresses), inside=inside, outside=outside) + extra
