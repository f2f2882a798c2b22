# SPDX-License-Identifier: BSD-3-Clause
"""From a TRex profile to compiled streams as JSON, by TRex's own client in an environment of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

FORMAT: Final = "shoal-streams"
VERSION: Final = 1
DEADLINE_S: Final = 120.0
CLIENT: Final = "lbr-trex-client"
ENVIRONMENT_VARIABLE: Final = "SHOAL_TREX_PYTHON"


class CompileError(Exception):
    """The profile, or the client that compiles it, is not as it should be. Its text is for the operator."""


@dataclass(frozen=True, slots=True)
class ProfilePort:
    """Which side of the profile goes out by which NF port."""

    nf_port: int
    direction: int
    source_mac: str = "02:00:00:00:00:01"
    destination_mac: str = "02:00:00:00:00:02"


INSIDE: Final = ProfilePort(0, 0)
OUTSIDE: Final = ProfilePort(1, 1, "02:00:00:00:00:02", "02:00:00:00:00:01")


def client_python() -> Path:
    """The interpreter of the client's environment: SHOAL_TREX_PYTHON, or .venv-trex beside the environment that
    this runs in, or in the present folder. CompileError when there is none."""
    if given := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(given)
    for folder in (Path(sys.prefix).parent, Path.cwd()):
        candidate = folder / ".venv-trex" / "bin" / "python"
        if candidate.exists():
            return candidate
    raise CompileError(
        f"there is no environment with TRex's client: `make setup` makes .venv-trex with {CLIENT}; "
        f"or let {ENVIRONMENT_VARIABLE} name its python"
    )


def _request(profile: Path, ports: Sequence[ProfilePort], tunables: Sequence[str], trex_home: Path | None) -> bytes:
    sides = [{"nf_port": port.nf_port, "direction": port.direction} for port in ports]
    request = {
        "profile": str(profile.resolve()),
        "tunables": list(tunables),
        "ports": sides,
        "trex_home": str(trex_home.resolve()) if trex_home else None,
    }
    return json.dumps(request).encode()


async def _start(python: Path, script: Path) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    arguments = (str(python), "-s", "-W", "ignore", str(script))  # -s: none of the user's own packages
    try:
        return await asyncio.create_subprocess_exec(*arguments, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise CompileError(f"{python}, which should have TRex's client, can't be started: {error.strerror}") from None


async def _run(python: Path, request: bytes) -> tuple[bytes, str]:
    with as_file(files("shoal.traffic") / "trex_compile.py") as script:
        process = await _start(python, script)
        try:
            async with asyncio.timeout(DEADLINE_S):
                output, complaints = await process.communicate(request)
        except TimeoutError:
            raise CompileError(f"TRex's client has not answered within {DEADLINE_S:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
    return output, complaints.decode(errors="replace").strip()


def _answer(profile: Path, output: bytes, complaints: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        last = complaints.splitlines()[-1] if complaints else "it said nothing"
        raise CompileError(f"TRex's client failed: {last}") from None
    if "error" in answer:
        detail = complaints.splitlines()[-1] if answer["error"].startswith("its tunables") and complaints else ""
        raise CompileError(f"{profile}: {answer['error']}{': ' + detail if detail else ''}")
    return answer


async def compile_profile(
    profile: Path,
    ports: Sequence[ProfilePort] = (INSIDE,),
    tunables: Sequence[str] = (),
    *,
    link_bps: int = 0,
    trex_home: Path | None = None,
    python: Path | None = None,
) -> bytes:
    """The document that shoal.traffic.streams reads. CompileError with a sentence when there is something wrong."""
    if not profile.is_file():
        raise CompileError(f"{profile}: there is no such file")
    output, complaints = await _run(python or client_python(), _request(profile, ports, tunables, trex_home))
    answer = _answer(profile, output, complaints)
    macs = {port.nf_port: (port.source_mac, port.destination_mac) for port in ports}
    for port in answer["ports"]:
        port["source_mac"], port["destination_mac"] = macs[port["nf_port"]]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "profile": profile.name,
        "tunables": list(tunables),
        "client": answer["client"],
        "link_bps": link_bps,
        "ports": answer["ports"],
    }
    return json.dumps(document).encode()
