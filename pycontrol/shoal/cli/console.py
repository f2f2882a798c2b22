# SPDX-License-Identifier: BSD-3-Clause
"""What all verbs share: where the controller is, how values and errors are shown, and the exit codes."""

import asyncio
import dataclasses
import enum
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from shoal import errors
from shoal.client import Client, connected
from shoal.model import OperationUpdate
from shoal.run_directory import RunDirectory

R = TypeVar("R")

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_CONFIG: Final = 4
EXIT_NOT_FOUND: Final = 5
EXIT_REFUSED: Final = 6
EXIT_DEADLINE: Final = 7
EXIT_INTERRUPTED: Final = 130
# Of the numbers that a call carries: 32 and 64 bits.
NUMBER_MAX: Final = (1 << 32) - 1
LONG_MAX: Final = (1 << 64) - 1

EXIT_CODES: Final = """\
**Exit codes**

* 0: done
* 1: it failed, or a check found a fault
* 2: the command line is wrong
* 3: no controller answers
* 4: the configuration file is refused
* 5: what was named does not exist
* 6: refused: not in this state, or a limit would be passed
* 7: it did not happen in time
* 130: interrupted (128 and the signal's number)
"""

_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.ConfigError, EXIT_CONFIG),
    (errors.InvalidRequestError, EXIT_USAGE),
    (errors.NotFoundError, EXIT_NOT_FOUND),
    (errors.RefusedError, EXIT_REFUSED),
    (errors.NoRoomError, EXIT_REFUSED),
    (errors.UnreachableError, EXIT_UNREACHABLE),
    (errors.DeadlineError, EXIT_DEADLINE),
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document (streams: one a line) instead of text.")]

output = Console(soft_wrap=True)
remarks = Console(stderr=True, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Target:
    """Which deployment a verb speaks to."""

    run_directory: RunDirectory
    address: str


def target(context: typer.Context) -> Target:
    found = context.find_object(Target)
    assert found is not None
    return found


def make_target(directory: Path, address: str) -> Target:
    run_directory = RunDirectory(directory.absolute())
    return Target(run_directory, address or run_directory.controller.address)


def plain(value: Any) -> Any:
    """Our values as JSON's."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.name.lower() if isinstance(value, int) else value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, Path) else value


def print_json(value: Any, *, line: bool = False) -> None:
    """A document, or one line of a stream of them."""
    sys.stdout.write(json.dumps(plain(value), indent=None if line else 2) + "\n")
    sys.stdout.flush()


def fail(error: Exception, *, as_json: bool) -> NoReturn:
    """Tells of an error and ends with its code."""
    if isinstance(error, errors.EndedBySignalError):
        code = 128 + error.number
    else:
        code = next((code for kind, code in _CODES if isinstance(error, kind)), EXIT_FAILED)
    if as_json:
        document: dict[str, Any] = {"error": str(error), "exit_code": code}
        if isinstance(error, errors.ConfigError):
            document["faults"] = error.faults
        print_json(document)
    elif isinstance(error, errors.ConfigError):
        for fault in error.faults:
            remarks.print(str(fault), style="red", markup=False, highlight=False)
    else:
        remarks.print(f"shoal: {error}", style="red", markup=False, highlight=False)
    raise typer.Exit(code)


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM, too: what runs is ended, and its result told."""
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_writable(*paths: Path | None) -> None:
    """InvalidRequestError where a result could not be written when the work is done."""
    for path in paths:
        if path is None:
            continue
        if not path.absolute().parent.is_dir():
            raise errors.InvalidRequestError(f"{path}: there is no directory {path.absolute().parent}")
        try:
            writable = os.access(path, os.W_OK) if path.exists() else _made(path)
        except OSError as error:
            raise errors.InvalidRequestError(f"{path} can't be written: {error.strerror}") from error
        if not writable:
            raise errors.InvalidRequestError(f"{path} can't be written")


def _made(path: Path) -> bool:
    """Made and removed again: whether that may be is not told by a directory's permissions alone."""
    path.touch(exist_ok=False)
    path.unlink()
    return True


def os_error_text(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def run(work: Coroutine[Any, Any, R], *, as_json: bool) -> R:
    """Runs a verb's work; errors and Ctrl-C end with their codes."""
    try:
        return asyncio.run(work)
    except (errors.ShoalError, TimeoutError) as error:
        fail(error, as_json=as_json)
    except BrokenPipeError:
        raise  # who read our output has gone: click ends for that
    except OSError as error:
        fail(errors.ShoalError(os_error_text(error)), as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def ask(context: typer.Context, call: Callable[[Client], Awaitable[R]], *, as_json: bool) -> R:
    """One call to the controller."""

    async def work() -> R:
        async with connected(target(context).address) as client:
            return await call(client)

    return run(work(), as_json=as_json)


async def follow(updates: AsyncIterator[OperationUpdate], *, as_json: bool) -> OperationUpdate:
    """Shows a long operation's steps as they come; its result."""
    last = OperationUpdate("", "")
    if as_json:
        async for last in updates:
            print_json(last, line=True)
        return last
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=remarks, transient=True) as progress:
        bar = progress.add_task("", total=None)
        async for last in updates:
            progress.update(bar, description=last.text, total=last.steps or None, completed=last.step)
    return last


def show_result(update: OperationUpdate) -> None:
    """What a finished operation did, in two lines."""
    output.print(update.text, markup=False, highlight=False)
    plan = update.plan
    if plan is not None:
        text = f"{plan.kind.replace('_', ' ')} in {plan.duration_ms:.0f} ms: {plan.slots_moved} slots and "
        text += f"{plan.objects_moved} objects moved, at most {plan.parked_most} packets parked"
        output.print(text, style="dim", markup=False, highlight=False)
