# SPDX-License-Identifier: BSD-3-Clause
"""`shoal up`: a controller where none runs, then the deployment; all of it undone where that fails or is ended."""

import asyncio
import contextlib
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Final

from shoal.cli.console import Target, follow
from shoal.client import Client, connected
from shoal.controller.launcher import log_tail
from shoal.errors import DeadlineError, EndedBySignalError, ShoalError, UnreachableError
from shoal.model import OperationUpdate
from shoal.process_host import cancelled, cancelled_by_signals
from shoal.run_directory import ProcessIdentity, read_pid_file

REACHABLE_S: Final = 20.0
CONTROLLER_S: Final = 30.0  # until there is one that answers: another may have to end first
GONE_S: Final = 5.0
CONTROLLER_GONE_S: Final = 30.0  # it ends others first, and the machine may be busy
GONE_POLL_S: Final = 0.02
TRIES_MAX: Final = 3
# Of a controller that found another one in its directory (shoal.controller).
STATUS_IN_USE: Final = 75


class Start:
    """One `shoal up`. What others have started or deployed it leaves alone."""

    def __init__(self, where: Target) -> None:
        self._where = where
        self._token = secrets.token_hex(16)  # by which the controller knows what this call has deployed
        self._spawned: subprocess.Popen[bytes] | None = None
        self._asked = False  # for the deployment
        self._accepted = False

    async def up(self, file: str, text: str, *, as_json: bool) -> OperationUpdate:
        """EndedBySignalError after a signal."""
        ended_by = cancelled_by_signals()
        try:
            return await self._up(file, text, as_json=as_json)
        except BaseException as error:
            if self._spawned is not None or (self._asked and isinstance(error, asyncio.CancelledError)):
                await self._undo()
            if ended_by:
                raise EndedBySignalError(ended_by[0]) from None
            raise

    async def _up(self, file: str, text: str, *, as_json: bool) -> OperationUpdate:
        for tries in range(1, TRIES_MAX + 1):
            async with connected(self._where.address) as client:
                await self._ensure_controller(client)
                self._asked = True
                try:
                    return await follow(self._deploy(client, file, text), as_json=as_json)
                except UnreachableError:
                    # Who had started the controller may have ended it again just then.
                    if self._spawned is not None or self._accepted or tries == TRIES_MAX:
                        raise
        raise AssertionError("the last try returns or raises")

    async def _deploy(self, client: Client, file: str, text: str) -> AsyncIterator[OperationUpdate]:
        async for update in client.deploy(file, text, self._token):
            self._accepted = True
            yield update

    async def _ensure_controller(self, client: Client) -> None:
        """Starts a controller unless one answers. One that is just ending, or just starting, is waited for."""
        try:
            async with asyncio.timeout(CONTROLLER_S):
                while not await _answers(client) and not await self._start_controller(client):
                    await asyncio.sleep(GONE_POLL_S)
        except TimeoutError:
            log = self._where.run_directory.controller.log
            raise UnreachableError(f"no controller answers within {CONTROLLER_S:g} s; {log_tail(log)}") from None

    async def _start_controller(self, client: Client) -> bool:
        """False: another one has the directory, which may be about to listen or to end."""
        self._where.run_directory.create()
        process = self._spawned = _spawn(self._where)
        reachable = asyncio.create_task(client.wait_reachable(REACHABLE_S), name="controller")
        try:
            while not reachable.done() and process.poll() is None:
                await asyncio.wait((reachable,), timeout=GONE_POLL_S)
            if process.poll() is None:
                await reachable
                return True
        finally:
            await cancelled(reachable)
        self._spawned = None
        if process.returncode == STATUS_IN_USE:
            return False
        log = self._where.run_directory.controller.log
        raise UnreachableError(f"the controller ended with status {process.returncode}; {log_tail(log)}")

    async def _undo(self) -> None:
        """Ends what this call has deployed, and the controller that it has started, unless that one has another's
        deployment by now."""
        controller = read_pid_file(self._where.run_directory.controller.pid_file)
        if self._spawned is not None:
            controller = ProcessIdentity.of(self._spawned.pid)
        async with connected(self._where.address) as client:
            try:
                if self._spawned is not None:
                    await self._answering(client)
                elif not (await client.status()).name:
                    return
                async for _ in client.down(self._token):
                    pass
            except UnreachableError:
                if self._spawned is not None:
                    self._spawned.terminate()
            except ShoalError:
                return
        if self._spawned is not None:
            await asyncio.to_thread(self._spawned.wait, REACHABLE_S)
        else:
            await until_gone(controller)

    async def _answering(self, client: Client) -> None:
        """Waits until the controller that was just started can be told to end, or has ended."""
        assert self._spawned is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REACHABLE_S):
                while self._spawned.poll() is None and not await _answers(client):
                    await asyncio.sleep(GONE_POLL_S)


async def _answers(client: Client) -> bool:
    try:
        await client.status()
    except UnreachableError:
        return False
    return True


def _spawn(where: Target) -> "subprocess.Popen[bytes]":
    # Not in a thread: whoever is cancelled meanwhile must know of the process.
    directory = where.run_directory.controller
    listen = [] if where.address.startswith("unix:") else ["--listen", where.address]
    command = [sys.executable, "-m", "shoal.controller", str(directory.path), *listen]
    with directory.open_log() as log:
        return subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


async def until_gone(controller: ProcessIdentity | None) -> None:
    """Waits for a controller that was told to end."""
    try:
        async with asyncio.timeout(CONTROLLER_GONE_S):
            while controller is not None and controller.lives:
                await asyncio.sleep(GONE_POLL_S)
    except TimeoutError:
        raise DeadlineError(f"the controller (process {controller and controller.pid}) does not end") from None
