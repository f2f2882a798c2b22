# SPDX-License-Identifier: BSD-3-Clause
"""demo."""

from pathlib import Path
from typing import Annotated

import typer

from shoal.cli.console import fail, output, require_writable, run
from shoal.demo.main import demo as run_demo
from shoal.demo.settings import DemoSettings
from shoal.errors import InvalidRequestError

DEFAULTS = DemoSettings()


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Checking")(demo)


def demo(
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here, as JSON.", dir_okay=False)
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Where the picture goes, a PNG.", dir_okay=False)
    ] = DEFAULTS.picture,
    rate: Annotated[int, typer.Option(help="Packets a second; less if one instance here loses some.")] = (
        DEFAULTS.packets_per_second
    ),
    flows: Annotated[int, typer.Option(help="Flows that stay.", min=1)] = DEFAULTS.flows,
    new_flows: Annotated[int, typer.Option(help="New flows a second.", min=0)] = DEFAULTS.new_flows_per_second,
    phase: Annotated[float, typer.Option(help="Seconds between two events.", min=1)] = DEFAULTS.phase_s,
) -> None:
    """Watch a NAT grow from one instance to three and shrink back to one, under traffic.

    Brings up a deployment of its own, sends traffic through it by the built-in generator, scales it 1, 2, 3, 1, and
    checks every packet that comes back. Ends with a verdict, a table of phases and events, and a picture. Everything
    that was started is gone afterwards, also after Ctrl-C.

    Exit status 1 if a packet was lost, left its place in its flow, or was mapped wrongly.
    """
    settings = DemoSettings(
        phase_s=phase,
        packets_per_second=rate,
        flows=flows,
        new_flows_per_second=new_flows,
        json=json,
        picture=picture,
    )
    try:
        require_writable(json, picture)
    except InvalidRequestError as error:
        fail(error, as_json=False)
    raise typer.Exit(run(run_demo(settings, output), as_json=False))
