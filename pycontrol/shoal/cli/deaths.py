# SPDX-License-Identifier: BSD-3-Clause
"""deaths."""

import time

import typer
from rich.table import Table

from shoal.cli.console import Json, ask, output, print_json
from shoal.model import Deaths


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Looking in")(deaths)


def deaths(context: typer.Context, json: Json = False) -> None:
    """Show which instances died, and what became of the objects that they held.

    One entry for each view change: instances that died together are in one. *Adopted* objects were taken over by
    another instance as they were; *checked* ones were being written, so that the network function was asked whether
    they are sound; *rejected* ones of these are not, and are gone; *lost* ones nobody could take over, for the slab
    could not be used or its host is gone (then it says how many were there when it was heard last); *rolled back*
    ones have lost what the dead instance had received last.
    """
    found = ask(context, lambda client: client.deaths(), as_json=json)
    if json:
        print_json(found)
        return
    if not found:
        output.print("no instance has died")
    for each in found:
        _show(each)


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
