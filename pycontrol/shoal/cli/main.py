# SPDX-License-Identifier: BSD-3-Clause
"""The command `shoal`. A verb parses, makes one call, renders; each module of verbs has `register`."""

import importlib.metadata
from pathlib import Path
from typing import Annotated

import typer

from shoal import run_directory
from shoal.cli import benching, checking, deaths, looking, operations, showing, state, traffic
from shoal.cli.console import EXIT_CODES, make_target, output
from shoal.cli.usage import Verbs

app = typer.Typer(
    name="shoal",
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=EXIT_CODES,
)


def _print_version(asked: bool) -> None:
    if asked:
        output.print(importlib.metadata.version("shoal"), highlight=False)
        raise typer.Exit


@app.callback()
def shoal(
    context: typer.Context,
    directory: Annotated[
        Path | None,
        typer.Option(
            "--run-directory",
            "-d",
            envvar=run_directory.VARIABLE,
            help="Where the deployment's sockets, slabs and logs lie.",
            show_default="/run/shoal for root",
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            envvar="SHOAL_CONTROLLER",
            help="host:port of a controller that listens on TCP. It obeys whoever reaches it.",
        ),
    ] = "",
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it")
    ] = False,
) -> None:
    """Run one network function as a shoal of instances that join and leave under traffic.

    `shoal up FILE.yaml` starts a deployment, `shoal scale nat 3` changes the number of its
    instances without losing a packet, `shoal status` and `shoal events` show what goes on,
    `shoal down` ends it. `shoal doctor` says whether this machine is fit, and how to mend what
    is not. `shoal VERB --help` tells more of each.
    """
    context.obj = make_target(directory or run_directory.default(), address)


# In the order in which `shoal --help` shows them.
for verbs in (operations, traffic, looking, deaths, state, checking, benching, showing):
    verbs.register(app)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
