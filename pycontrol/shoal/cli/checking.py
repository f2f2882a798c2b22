# SPDX-License-Identifier: BSD-3-Clause
"""doctor, verify."""

import typer

from shoal.cli.console import EXIT_FAILED, Json, output, print_json, target
from shoal.doctor.checks import ALL
from shoal.doctor.finding import Finding, Severity
from shoal.verify.main import main as verify_main

_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Checking")(doctor)
    app.command(rich_help_panel="Checking", context_settings=_PASSED_ON)(verify)


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check this machine, and say how to mend each fault.

    Looks at hugepages, DPDK and its drivers, ports, stale sockets, hugepage files, shared memory, run directories
    (DPDK's too) and permissions. Below each remark and fault stands what mends it.
    Exit status 1 if something keeps Shoal from working; remarks (slower, not wrong) do not count.
    """
    where = target(context)
    findings = [finding for check in ALL for finding in check(where.run_directory)]
    if json:
        print_json(findings)
    else:
        _show(findings)
    if any(finding.severity is Severity.FAULT for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _show(findings: list[Finding]) -> None:
    styles = {Severity.GOOD: "green", Severity.REMARK: "yellow", Severity.FAULT: "red"}
    marks, subjects = (max(map(len, texts), default=0) for texts in _columns(findings))
    for finding in findings:
        # Whole lines, never cut or filled: what mends a fault is there to be copied.
        output.print(finding.severity.value.ljust(marks), style=styles[finding.severity], end="  ", highlight=False)
        output.print(finding.subject.ljust(subjects), finding.text, sep="  ", markup=False, highlight=False)
        if finding.remedy:
            output.print(" " * (marks + subjects + 4) + finding.remedy, markup=False, highlight=False)


def _columns(findings: list[Finding]) -> tuple[list[str], list[str]]:
    return [finding.severity.value for finding in findings], [finding.subject for finding in findings]


def verify(context: typer.Context) -> None:
    """Compare what several instances did with what one would have done. Its own --help tells more."""
    raise typer.Exit(verify_main(context.args))
