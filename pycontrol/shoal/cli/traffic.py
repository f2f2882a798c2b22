# SPDX-License-Identifier: BSD-3-Clause
"""traffic run, traffic show, traffic stop."""

import asyncio
import json as json_module
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.table import Table

from shoal.cli.console import (
    EXIT_FAILED,
    Json,
    ask,
    ended_as_by_ctrl_c,
    fail,
    output,
    print_json,
    remarks,
    run,
    target,
)
from shoal.client import Client, connected
from shoal.errors import InvalidRequestError, ShoalError
from shoal.model import TrafficReport
from shoal.traffic import (
    INSIDE,
    OUTSIDE,
    CompileError,
    OptionError,
    StreamsError,
    compile_profile,
    parse_streams,
    write_profile,
)
from shoal.traffic.options import multiplier_of

WATCH_MS: Final = 500
ROWS_SHOWN: Final = 12
PCAP_PACKETS: Final = 1000

app = typer.Typer(no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    parent.add_typer(
        app, name="traffic", help="Send a TRex profile through the deployment.", rich_help_panel="Operations"
    )


@dataclass(frozen=True, slots=True)
class Sending:
    """What `traffic run` was asked for."""

    profile: Path
    tunables: tuple[str, ...]
    both: bool
    trex_home: Path | None
    options: dict[str, str]


@app.command("run")
def run_profile(
    context: typer.Context,
    profile: Annotated[Path, typer.Argument(help="A TRex STL profile, such as trex_profiles/nat_churn.py.")],
    tunables: Annotated[
        list[str] | None, typer.Argument(help="Behind --: the profile's own, such as -- --clients 200.")
    ] = None,
    multiplier: Annotated[str, typer.Option("-m", help="Of all rates: 2, 10kpps, 1gbps, 1gbpsl1.")] = "1",
    duration: Annotated[float, typer.Option(help="Seconds; 0: until the streams end, or Ctrl-C.", min=0)] = 0,
    warm_up: Annotated[float, typer.Option(help="Seconds whose latencies do not count.", min=0)] = 0,
    respond_every: Annotated[
        int, typer.Option(help="Answer every n-th packet of a flow that arrives at another port; 0: none.", min=0)
    ] = 0,
    flow_idle: Annotated[float, typer.Option(help="Seconds without a packet after which a flow has ended.")] = 10,
    stamp: Annotated[bool, typer.Option(help="Number and check each packet; without it only TRex's counters.")] = True,
    check_mappings: Annotated[bool, typer.Option(help="Check that each source keeps its public address.")] = True,
    both: Annotated[bool, typer.Option("--both", help="Send the profile's direction 1 from the second port.")] = False,
    trex_home: Annotated[Path | None, typer.Option(help="Use the client of this TRex.", file_okay=False)] = None,
    pcap: Annotated[
        Path | None, typer.Option(help="Write what would be sent to this file instead; needs no controller.")
    ] = None,
    packets: Annotated[
        int | None, typer.Option(help="With --pcap: how many packets.", min=1, show_default="1000")
    ] = None,
    json: Json = False,
) -> None:
    """Run a plain TRex STL profile on the built-in generator, and report what came back.

    The ports that shall send have the device `traffic` in the configuration file. Each packet is numbered and checked:
    lost, reordered within its flow, duplicated, corrupted, mapped to a wrong public address. Ctrl-C or SIGTERM
    stops the traffic and reports. Exit status 1 if anything was wrong.

    Examples: `shoal traffic run trex_profiles/nat_churn.py --duration 30`, and with the profile's own tunables
    `shoal traffic run trex_profiles/imix.py -m 2 -- --clients 200`; only a file, without controller:
    `shoal traffic run trex_profiles/udp_flows.py --pcap flows.pcap --packets 1000`
    """
    options = {
        "multiplier": multiplier,
        "duration": str(duration),
        "warm_up": str(warm_up),
        "respond_every": str(respond_every),
        "flow_idle": str(flow_idle),
        "stamp": str(stamp).lower(),
        "check_mappings": str(check_mappings and stamp).lower(),
    }
    sending = Sending(profile, tuple(tunables or ()), both, trex_home, options)
    if pcap is not None:
        run(_write(sending, pcap, packets or PCAP_PACKETS, as_json=json), as_json=json)
        return
    if packets is not None:
        fail(InvalidRequestError("--packets counts with --pcap; traffic ends after --duration"), as_json=json)
    with ended_as_by_ctrl_c():
        report = run(_send(target(context).address, sending, as_json=json), as_json=json)
    _tell(report, as_json=json)


async def _compiled(sending: Sending) -> bytes:
    ports = (INSIDE, OUTSIDE) if sending.both else (INSIDE,)
    try:
        return await compile_profile(sending.profile, ports, sending.tunables, trex_home=sending.trex_home)
    except CompileError as error:
        raise ShoalError(str(error)) from error


async def _write(sending: Sending, path: Path, packets: int, *, as_json: bool) -> None:
    try:
        traffic = parse_streams(await _compiled(sending))
        factor = multiplier_of(sending.options["multiplier"], traffic)
        duration_s = float(sending.options["duration"])
        count = write_profile(path, traffic, packets, multiplier=factor, duration_s=duration_s)
    except (StreamsError, OptionError) as error:
        raise ShoalError(str(error)) from error
    if as_json:
        print_json({"file": path, "packets": count})
    else:
        output.print(f"{path}: {count} packets", markup=False, highlight=False)


async def _send(address: str, sending: Sending, *, as_json: bool) -> TrafficReport:
    streams = await _compiled(sending)
    async with connected(address) as client:
        starting = asyncio.create_task(client.start_traffic(sending.profile.name, streams, sending.options))
        try:
            await asyncio.shield(starting)
            await _watch(client, quiet=as_json)
        except asyncio.CancelledError:
            remarks.print("stopping")
            await starting  # what has been asked for may run from now on: it is stopped, too
        return await client.stop_traffic()


async def _watch(client: Client, *, quiet: bool) -> None:
    """Shows the last rows until the streams have ended."""
    if quiet:
        async for _ in client.watch_traffic(WATCH_MS):
            pass
        return
    with Live(console=remarks, transient=True, refresh_per_second=4) as live:
        async for report in client.watch_traffic(WATCH_MS):
            live.update(rows_table(json_module.loads(report.document)["shoal"]["rows"][-ROWS_SHOWN:]))


def rows_table(rows: list[dict[str, Any]]) -> RenderableType:
    table = Table("seconds", "sent/s", "received/s", "flows", "new flows/s", "p50 µs", "p99 µs", "wrong", box=None)
    for row in rows:
        length = row["length_s"] or 1.0
        wrong = row["reordered"] + row["duplicated"] + row["corrupted"] + row["mapping_violations"]
        table.add_row(
            f"{row['end_s']:.1f}",
            f"{row['sent'] / length:,.0f}",
            f"{row['received'] / length:,.0f}",
            f"{row['flows_live']:,}",
            f"{row['flows_started'] / length:,.0f}",
            f"{row['p50_us']:,.1f}",
            f"{row['p99_us']:,.1f}",
            str(wrong),
        )
    return table


def _tell(report: TrafficReport, *, as_json: bool) -> None:
    """The report, and an exit status that says whether all was well."""
    if as_json:
        print_json({"name": report.name, "faults": report.faults, **json_module.loads(report.document)})
    else:
        _show(report)
    if report.faults:
        raise typer.Exit(EXIT_FAILED)


def _show(report: TrafficReport, *, running: bool = False) -> None:
    shoal = json_module.loads(report.document)["shoal"]
    missing = "under way or lost" if running else "lost"
    latency, late, flows = shoal["latency_us"], shoal["late"], shoal["flows"]
    lines = (
        f"{report.name}: {shoal['sent']:,} packets sent in {shoal['elapsed_s']:.1f} s, {shoal['received']:,} received",
        f"{shoal['sent_pps']:,.0f} packets/s, {shoal['responses_sent']:,} of them answers; "
        f"{shoal['requested_pps']:,.0f}/s were asked for without answers",
        f"{missing} {shoal['lost']}, reordered {shoal['reordered']}, duplicated {shoal['duplicated']}, "
        f"corrupted {shoal['corrupted']}, mapped wrongly {shoal['mappings']['violations']}",
        f"latency p50 {latency['p50']:,.1f} µs, p99 {latency['p99']:,.1f} µs, p999 {latency['p999']:,.1f} µs, "
        f"most {latency['max']:,.1f} µs",
        f"{flows['started']:,} flows, {flows['live']:,} live; the generator ran at most {late['max_us']:,.0f} µs late, "
        f"and left out {late['slipped_ms']:,.0f} ms",
    )
    for line in lines:
        output.print(line, markup=False, highlight=False)
    for fault in () if running else report.faults:  # what is under way is no fault yet
        output.print(fault, style="red", markup=False, highlight=False)


@app.command()
def show(context: typer.Context, json: Json = False) -> None:
    """Show what the traffic that runs, or ran last, has come to so far."""
    report = ask(context, lambda client: client.traffic(), as_json=json)
    if json:
        print_json({"name": report.name, "running": report.running, **json_module.loads(report.document)})
        return
    _show(report, running=report.running)
    output.print("it runs" if report.running else "it has ended")


@app.command()
def stop(context: typer.Context, json: Json = False) -> None:
    """Stop the traffic, wait for what is under way, and report. Exit status 1 if anything was wrong."""
    report = ask(context, lambda client: client.stop_traffic(), as_json=json)
    _tell(report, as_json=json)
