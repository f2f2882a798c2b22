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


class ProgramError(RuntimeError):
    """A program ended, or did not say in time what it should; the text holds what it wrote on standard error."""


class Program:
    """One running program."""

    def __init__(self, process: asyncio.subprocess.Process, errors: list[str]) -> None:
        self._process = process
        self._errors = errors

    async def line(self, deadline_s: float) -> str:
        """Its next line; ProgramError where it ends first or says nothing until the deadline."""
        stdout = self._process.stdout
        assert stdout is not None
        try:
            async with asyncio.timeout(deadline_s):
                line = await stdout.readline()
        except TimeoutError:
            raise ProgramError(f"said nothing for {deadline_s:.0f} s. {self._said()}") from None
        if not line:
            raise ProgramError(f"ended with status {await self._process.wait()}. {self._said()}")
        return line.decode().strip()

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
async def program(where: Namespace, module: str, *arguments: object) -> AsyncIterator[Program]:
    """Runs `python -m MODULE ARGUMENTS` in the namespace."""
    command = where.command(sys.executable, "-m", module, *map(str, arguments))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    errors: list[str] = []
    listener = asyncio.create_task(_listen(process, errors), name=f"errors of {module}")
    try:
        yield Program(process, errors)
    finally:
        await _end(process)
        await listener


async def _listen(process: asyncio.subprocess.Process, errors: list[str]) -> None:
    assert process.stderr is not None
    while line := await process.stderr.readline():
        errors.append(line.decode(errors="replace"))


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
