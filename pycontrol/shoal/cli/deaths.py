# SPDX-License-Identifier: BSD-3-Clause
"""deaths."""

import time
from typing import Annotated, Any

import typer
from rich.table import Table

from shoal.cli.console import LONG_MAX, NUMBER_MAX, Json, ask, fail, output, print_json, run, target
from shoal.cli.state import field_values, text_of
from shoal.client import connected
from shoal.errors import InvalidRequestError
from shoal.model import DeathKey, Deaths


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Looking in")(deaths)


def deaths(
    context: typer.Context,
    keys: Annotated[bool, typer.Option("--keys", help="Show which objects they were, one a line.")] = False,
    view: Annotated[
        int, typer.Option(help="With --keys: of this view change only; 0: of all.", min=0, max=LONG_MAX)
    ] = 0,
    fate: Annotated[str, typer.Option(help="With --keys: adopted, rejected or lost only.")] = "",
    limit: Annotated[
        int, typer.Option(help="With --keys: at most so many; 0: all that are kept.", min=0, max=NUMBER_MAX)
    ] = 100,
    json: Json = False,
) -> None:
    """Show which instances died, and what became of the objects that they held.

    One entry for each view change: instances that died together are in one. *Adopted* objects were taken over by
    another instance as they were; *checked* ones were being written, so that the network function was asked whether
    they are sound; *rejected* ones of these are not, and are gone; *lost* ones nobody could take over, for the slab
    could not be used or its host is gone (then it says how many were there when it was heard last); *rolled back*
    ones have lost what the dead instance had received last.

    With --keys: which objects these were. Each instance keeps the keys of its last 16384 of each fate.
    """
    if keys:
        _list_keys(context, view, fate, limit, json=json)
        return
    if view or fate:
        fail(InvalidRequestError("--view and --fate choose among keys: they need --keys"), as_json=json)
    found = ask(context, lambda client: client.deaths(), as_json=json)
    if json:
        print_json(found)
        return
    if not found:
        output.print("no instance has died")
    for each in found:
        _show(each)


def _list_keys(context: typer.Context, view: int, fate: str, limit: int, *, json: bool) -> None:
    async def work() -> int:
        count = 0
        async with connected(target(context).address) as client:
            async for each in client.death_keys(view, fate, limit):
                count += 1
                if json:
                    print_json(_document(each), line=True)
                else:
                    text = f"view {each.view} {each.fate} {each.class_name} {text_of(each.key)}  ({each.instance})"
                    output.print(text, markup=False, highlight=False)
        return count

    if not run(work(), as_json=json) and not json:
        output.print("no keys are kept")


def _document(found: DeathKey) -> dict[str, Any]:
    return {
        "view": found.view,
        "fate": found.fate,
        "class": found.class_name,
        "key": field_values(found.key),
        "told_by": found.instance,
    }


def _show(found: Deaths) -> None:
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found.time_ns // 10**9))
    output.print(f"view {found.view}, {clock}, {found.duration_ms:.0f} ms", highlight=False)
    for instance in found.instances:
        after = f"adopted by {instance.adopter}" if instance.adopter else f"not adopted: {instance.refusal}"
        text = f"  {instance.name}, life {instance.life}: {instance.reason}; {after}"
        output.print(text, markup=False, highlight=False)
    table = Table("  class", "adopted", "checked", "rejected", "lost", "rolled back", box=None, pad_edge=False)
    for each in found.classes:
        lost = f"at least {each.lost}; {each.last_heard} were there" if each.at_least else str(each.lost)
        counts = (each.adopted, each.checked, each.rejected, lost, each.rolled_back)
        table.add_row(f"  {each.class_name}", *map(str, counts))
    output.print(table)
