# SPDX-License-Identifier: BSD-3-Clause
"""A program in a namespace that a test talks with, line by line; ended with the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.smoke.network import Namespace

ROOT = Path(__file__).resolve().parents[2]
END_DEADLINE_S = 10.0
READY_DEADLINE_S = 30.0


class ProgramError(RuntimeError):
    """A program ended, or did not say in time what it should; the text holds what it wrote on standard error."""


class Program:
    """One running program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._errors: list[str] = []
        self._latest: dict[str, Any] = {}

    async def listen(self) -> None:
        """Takes what it says until it ends."""
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout is not None
        assert stderr is not None

        async def lines() -> None:
            while line := await stdout.readline():
                self._lines.put_nowait(line.decode().strip())
            self._lines.put_nowait(None)

        async def errors() -> None:
            while line := await stderr.readline():
                self._errors.append(line.decode(errors="replace"))

        await asyncio.gather(lines(), errors())

    async def line(self, deadline_s: float) -> str:
        """Its next line; ProgramError where it ends first or says nothing until the deadline."""
        try:
            async with asyncio.timeout(deadline_s):
                line = await self._lines.get()
        except TimeoutError:
            raise ProgramError(f"said nothing for {deadline_s:.0f} s. {self._said()}") from None
        if line is None:
            raise ProgramError(f"ended with status {await self._process.wait()}. {self._said()}")
        return line

    def latest(self, key: str) -> Any:
        """The value in the last line that had the key, of all that it has said by now; None: none had."""
        while not self._lines.empty():
            line = self._lines.get_nowait()
            if line is not None:
                self._latest.update(json.loads(line))
        return self._latest.get(key)

    async def until(self, key: str, deadline_s: float) -> Any:
        """Reads JSON lines up to one that has the key; its value."""
        return (await self.message(key, deadline_s))[key]

    async def message(self, key: str, deadline_s: float) -> dict[str, Any]:
        """Reads JSON lines up to one that has the key; all of it."""
        async with asyncio.timeout(deadline_s):
            while True:
                message: dict[str, Any] = json.loads(await self.line(deadline_s))
                if key in message:
                    return message

    async def until_bytes(self, least: int, deadline_s: float) -> None:
        """Reads progress until that many bytes have come."""
        async with asyncio.timeout(deadline_s):
            while json.loads(await self.line(deadline_s)).get("bytes", 0) < least:
                pass

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def no_more(self) -> None:
        """Closes its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _said(self) -> str:
        return f"standard error: {''.join(self._errors)[-4000:]}"


@contextlib.asynccontextmanager
async def program(
    where: Namespace, module: str, *arguments: object, ready: str | None = None
) -> AsyncIterator[Program]:
    """Runs `python -m MODULE ARGUMENTS` in the namespace; begins once it has said the line `ready`, if one is given."""
    command = where.command(sys.executable, "-m", module, *map(str, arguments))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    made = Program(process)
    listener = asyncio.create_task(made.listen(), name=f"what {module} says")
    try:
        if ready is not None and (line := await made.line(READY_DEADLINE_S)) != ready:
            raise ProgramError(f"said {line!r}, not {ready!r}")
        yield made
    finally:
        await _end(process)
        await listener


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_DEADLINE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
