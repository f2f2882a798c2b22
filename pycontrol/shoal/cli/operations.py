# SPDX-License-Identifier: BSD-3-Clause
"""up, scale, remove, drain, down."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.console import (
    NUMBER_MAX,
    Json,
    Target,
    fail,
    follow,
    os_error_text,
    print_json,
    run,
    show_result,
    target,
)
from shoal.cli.starting import GONE_POLL_S, GONE_S, Start, until_gone
from shoal.client import Client, connected
from shoal.errors import ConfigError, ConfigFault, RefusedError, ShoalError, UnreachableError
from shoal.model import OperationUpdate
from shoal.run_directory import RunDirectory, read_pid_file

Updates = AsyncIterator[OperationUpdate]


def register(app: typer.Typer) -> None:
    for verb in (up, scale, remove, drain, down):
        app.command(rich_help_panel="Operations")(verb)


def operate(context: typer.Context, begin: Callable[[Client], Updates], *, as_json: bool) -> None:
    """One long operation of the controller."""

    async def work() -> OperationUpdate:
        async with connected(target(context).address) as client:
            return await follow(begin(client), as_json=as_json)

    result = run(work(), as_json=as_json)
    if not as_json:
        show_result(result)


def up(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The deployment, as YAML.", exists=True, dir_okay=False)],
    json: Json = False,
) -> None:
    """Start a deployment: controller, splitter and instances.

    The file is taken as a whole or refused as a whole, each fault with its line, its field and the reason. A controller
    is started where none runs; it stays, and so do the instances, until `shoal down`. A controller that has ended is
    replaced in the same way: the new one takes the running instances up. Ctrl-C while it starts takes everything down
    again.

    Example: `shoal up nat.yaml`
    """
    try:
        text = file.read_text()
    except OSError as error:
        fail(ShoalError(os_error_text(error)), as_json=json)
    except UnicodeDecodeError:
        fail(ConfigError([ConfigFault(str(file), 0, 0, "", "is no text in UTF-8")]), as_json=json)
    result = run(Start(target(context)).up(str(file), text, as_json=json), as_json=json)
    if not json:
        show_result(result)


def scale(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The deployment or its network function, such as nat.")],
    instances: Annotated[int, typer.Argument(help="How many instances there shall be.", min=1, max=NUMBER_MAX)],
    json: Json = False,
) -> None:
    """Change the number of instances, under traffic.

    New instances start, join the object space and get their share of the steering slots; leaving ones (the last ones)
    hand over all that they hold before they end. Nothing is lost and no flow is reordered. One change runs at a time;
    others wait. Ctrl-C leaves the change running.

    Example: `shoal scale nat 3`
    """
    operate(context, lambda client: client.scale(name, instances), as_json=json)


def remove(
    context: typer.Context,
    instance: Annotated[str, typer.Argument(help="The instance's name, as in `shoal status`.")],
    json: Json = False,
) -> None:
    """Take one named instance out: it hands over all that it holds, then its process ends."""
    operate(context, lambda client: client.remove(instance), as_json=json)


def drain(
    context: typer.Context,
    instance: Annotated[str, typer.Argument(help="The instance's name, as in `shoal status`.")],
    json: Json = False,
) -> None:
    """Move all packets and state off one instance, and leave its process until it is removed."""
    operate(context, lambda client: client.drain(instance), as_json=json)


def down(context: typer.Context, json: Json = False) -> None:
    """End instances, splitter and controller, and remove what they left.

    Where no controller answers, the processes that its run directory names are ended one by one.
    """
    where = target(context)
    result = run(_down(where, as_json=json), as_json=json)
    if not json:
        show_result(result)


async def _down(where: Target, *, as_json: bool) -> OperationUpdate:
    if where.address == where.run_directory.controller.address and not where.run_directory.served():
        result = OperationUpdate("done", f"nothing runs in {where.run_directory.path}", done=True)
        if as_json:
            print_json(result, line=True)
        return result
    controller = read_pid_file(where.run_directory.controller.pid_file)
    result = OperationUpdate("done", "all has been taken down", done=True)
    async with connected(where.address) as client:
        try:
            result = await follow(client.down(), as_json=as_json)
        except UnreachableError:
            ended = await end_processes(where.run_directory)
            result = OperationUpdate("done", f"no controller answered: {ended} processes ended", done=True)
            if as_json:
                print_json(result, line=True)
    await until_gone(controller)
    return result


async def end_processes(run_directory: RunDirectory) -> int:
    """Ends all that left a pid file, SIGTERM first; how many there were. Their directories go."""
    directories = run_directory.processes()
    living = [(each, identity) for each in directories if (identity := read_pid_file(each.pid_file)) and identity.lives]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _, identity in living:
            identity.send_signal(number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                while any(identity.lives for _, identity in living):
                    await asyncio.sleep(GONE_POLL_S)
    left = [identity.pid for _, identity in living if identity.lives]
    if left:
        raise RefusedError(f"processes {', '.join(map(str, left))} do not end")
    for directory in (*run_directory.instances(), run_directory.splitter):
        await asyncio.to_thread(directory.remove)
    for path in (run_directory.controller.socket, run_directory.controller.pid_file):
        path.unlink(missing_ok=True)
    run_directory.clear()
    return len(living)
