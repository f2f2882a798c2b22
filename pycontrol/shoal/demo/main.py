# SPDX-License-Identifier: BSD-3-Clause
"""Runs a demo from its settings to its exit status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live

from shoal.demo import view
from shoal.demo.course import Course
from shoal.demo.deployment import deployed
from shoal.demo.observer import Observed
from shoal.demo.settings import STEPS, DemoSettings
from shoal.demo.traffic import compile_profile
from shoal.errors import ShoalError
from shoal.process_host import cancelled_by_signals
from shoal.report import verdict
from shoal.report.document import Document

STATUS_GOOD: Final = 0
STATUS_BAD: Final = 1
CONFIG: Final = """\
name: demo
network_function:
  name: nat
  settings: {public_addresses: 203.0.113.0/28, inside_prefixes: 16.0.0.0/8}
ports:
  inside: {device: traffic}
  outside: {device: traffic}
instances: {count: 1, objects: %d}
"""


async def demo(settings: DemoSettings, console: Console) -> int:
    """Exit status: 1 where anything was lost, out of order or mapped wrongly. ShoalError where it could not be run."""
    ended_by = cancelled_by_signals()
    failure: ShoalError | None = None
    try:
        document, observed = await _run(settings, console)
    except* ShoalError as group:
        failure = _first(group)  # raised below: what an except* clause raises is wrapped in a group again
    except* asyncio.CancelledError:
        if not ended_by:
            raise
    if ended_by:
        console.print("ended early; everything that was started is gone")
        return 128 + ended_by[0]
    if failure is not None:
        raise failure
    _write(document, observed, settings)
    console.print(verdict.show(document))
    for name, path in (("picture", settings.picture), ("figures", settings.json)):
        if path is not None:
            console.print(f"{name}: {path}", highlight=False)
    return STATUS_BAD if document.faults() else STATUS_GOOD


async def _run(settings: DemoSettings, console: Console) -> tuple[Document, Observed]:
    profile = await compile_profile(settings)
    async with deployed(CONFIG % settings.objects, settings.directory) as client:
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            course = Course(client, settings, _tell(live))
            document = await course.run(profile)
        return document, course.observed


def _first(group: BaseExceptionGroup[ShoalError]) -> ShoalError:
    """What went wrong first; the rest followed from it."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _tell(live: Live) -> Callable[[Observed, str], None]:
    return lambda observed, doing: live.update(view.show(observed, doing))


def _write(document: Document, observed: Observed, settings: DemoSettings) -> None:
    if settings.json is not None:
        settings.json.write_text(document.to_json())
    if settings.picture is not None:
        title = f"Shoal: a NAT scales {' → '.join(map(str, STEPS))} under traffic"
        from shoal.report import picture  # loads a library that is slow, and speaks up where HOME can't be written

        picture.draw(observed.timeline, title, Path(settings.picture))
