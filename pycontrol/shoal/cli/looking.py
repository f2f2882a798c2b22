# SPDX-License-Identifier: BSD-3-Clause
"""status, events, statistics, task."""

import time
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table

from shoal.cli.console import LONG_MAX, Json, ask, fail, output, plain, print_json, run, target
from shoal.client import connected
from shoal.errors import NotFoundError
from shoal.model import ClusterStatus, ComponentStatistics, Event, PlanStatus, Statistic


def register(app: typer.Typer) -> None:
    for verb in (status, events, statistics, task):
        app.command(rich_help_panel="Looking in")(verb)


def status(context: typer.Context, json: Json = False) -> None:
    """Show the deployment: its instances, what each holds, and the change at work."""
    found = ask(context, lambda client: client.status(), as_json=json)
    if json:
        print_json(found)
    else:
        _show_status(found)


def _show_status(found: ClusterStatus) -> None:
    if not found.name:
        output.print("nothing is deployed")
        return
    count = len(found.instances)
    text = f"{found.name}: {count} instance{'' if count == 1 else 's'} of {found.network_function}"
    text += f" ({found.instances_wanted} wanted), epoch {found.epoch}, term {found.term}, "
    text += f"splitter {'runs' if found.splitter else 'has ended' if found.splitter_process else 'none'}"
    output.print(text, highlight=False)
    columns = ("instance", "state", "process", "host", "steering slots", "tokens", "objects", "moved away", "")
    table = Table(*columns, box=None, pad_edge=False)
    for each in found.instances:
        table.add_row(
            each.name,
            each.state.value,
            str(each.process),
            each.host or "here",
            str(each.steering_slots),
            str(each.tokens),
            str(each.objects),
            str(each.leases_moved),
            each.reason or ("does not answer" if each.stalled else ""),
        )
    output.print(table)
    if found.view:
        output.print(f"view change {found.view} is at work: an instance has died", highlight=False)
    if found.plan is not None:
        output.print(_plan_text(found.plan), markup=False, highlight=False)
    if found.plans_waiting:
        output.print(f"{found.plans_waiting} changes wait", highlight=False)


def _plan_text(plan: PlanStatus) -> str:
    text = f"plan {plan.number}, {plan.kind.replace('_', ' ')}, {plan.state.value.replace('_', ' ')}: "
    text += f"{plan.steering_redirected} of {plan.steering_moved} steering slots redirected, {plan.tokens_left} tokens "
    text += f"to come, {plan.slots_unswept} slots unswept, {plan.objects_moved} objects moved"
    return f"{text}; {plan.reason}" if plan.reason else text


def events(
    context: typer.Context,
    after: Annotated[int, typer.Option(help="Only events later than this number.", min=0, max=LONG_MAX)] = 0,
    follow: Annotated[bool, typer.Option(help="Go on as new ones come, until Ctrl-C.")] = True,
    json: Json = False,
) -> None:
    """Watch what happens: instances that start and end, plans, traffic, peers.

    The last two thousand events are kept; new ones are shown as they come.
    """

    async def work() -> None:
        async with connected(target(context).address) as client:
            last = (await client.last_event()) if not follow else None
            if last is not None and last <= after:
                return
            async for event in client.events(after):
                if json:
                    print_json(event, line=True)
                else:
                    _show_event(event)
                if last is not None and event.sequence >= last:
                    return

    run(work(), as_json=json)


def _show_event(event: Event) -> None:
    clock = time.strftime("%H:%M:%S", time.localtime(event.time_ns // 10**9))
    milliseconds = event.time_ns // 10**6 % 1000
    output.print(
        f"{event.sequence:6} {clock}.{milliseconds:03} {event.kind:20} {event.subject}: {event.text}",
        markup=False,
        highlight=False,
    )


def statistics(
    context: typer.Context,
    component: Annotated[str, typer.Argument(help="An instance's name, or splitter; default: all.")] = "",
    zero: Annotated[bool, typer.Option("--all", help="Show figures that are zero, too.")] = False,
    json: Json = False,
) -> None:
    """Show the figures of splitter and instances: packets, drops by reason, objects, messages, histograms."""
    found = ask(context, lambda client: client.statistics(), as_json=json)
    chosen = [each for each in found if component in ("", each.component)]
    if component and not chosen:
        names = ", ".join(each.component for each in found) or "nothing is deployed"
        fail(NotFoundError(f"there is no {component!r}: {names}"), as_json=json)
    if json:
        print_json([{**plain(each), "statistics": plain(each.statistics)} for each in chosen])
    else:
        _show_statistics(chosen, zero=zero)


def _show_statistics(components: Iterable[ComponentStatistics], *, zero: bool) -> None:
    for each in components:
        table = Table("figure", "value", title=f"{each.component} (process {each.process})", title_justify="left")
        counted = 0  # of a histogram, up to the bound before
        for row in each.statistics:
            news = row.value and (row.bound in ("", "sum", "+Inf") or row.value > counted)
            counted = row.value if row.bound not in ("", "sum") else 0
            if news or zero:
                table.add_row(_figure(row), str(row.value))
        output.print(table)


def _figure(row: Statistic) -> str:
    """Name and labels; of a histogram's rows what they count, too."""
    labels = [f"{row.label}={row.label_value}"] if row.label else []
    if row.bound:
        labels.append("sum in ns" if row.bound == "sum" else f"le={row.bound} ns")
    return f"{row.name}{{{','.join(labels)}}}" if labels else row.name


def task(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The task's name, as the network function declares it.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments, behind each other.")] = None,
    instance: Annotated[str, typer.Option(help="Run it there only; default: on all instances.")] = "",
    deadline_ms: Annotated[int, typer.Option(help="How long it may take.", min=1, max=600_000)] = 5000,
    json: Json = False,
) -> None:
    """Run a control task of the network function, which sees the same objects as its packets do.

    Example: `shoal task ports 203.0.113.1 udp`
    """
    text = " ".join(arguments or ())
    answers = ask(context, lambda client: client.run_task(name, text, instance, deadline_ms), as_json=json)
    if json:
        print_json(answers)
        return
    for answer in answers:
        output.print(f"[bold]{answer.instance}[/bold]")
        output.print(answer.reply, markup=False, highlight=False)
