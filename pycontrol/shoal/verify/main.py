# SPDX-License-Identifier: BSD-3-Clause
"""The command line of the checker: `shoal verify` and `python -m shoal.verify`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path

from shoal.verify.allocation import Idle
from shoal.verify.capture import CaptureError
from shoal.verify.equivalence import compare
from shoal.verify.frame import PROTOCOL_NAMES
from shoal.verify.generator_record import compare_records, judge_record, load_record
from shoal.verify.report import Report
from shoal.verify.run import load
from shoal.verify.translation import Rules, Translation

STATUS_GOOD, STATUS_BAD, STATUS_USAGE = 0, 1, 2
DESCRIPTION = """\
Judges a NAT by packet captures of what went into and came out of it.

A run is a folder with inside-in*.pcap, inside-out*.pcap, outside-in*.pcap and outside-out*.pcap ("in": into the NAT);
several files of one kind are merged by time. The two from outside may be missing where nothing came from there. If
there is a books.json, {"drops": {REASON: NUMBER, …}}, then what came must have left or been dropped.

  shoal verify translation RUN      every packet that left is a right translation of one that entered: checksums,
                                    contents, order within the flow, nothing lost or doubled; mappings do not depend on
                                    the other end, do not change, and share no public endpoint
  shoal verify equivalence ONE MANY the run MANY, on many instances, sent for each flow what the run ONE, on a single
                                    instance, sent, up to one consistent exchange of public addresses and ports

  shoal verify record RUN.json      the generator's own record of a run (shoal traffic run --json): nothing lost, out of
                                    order, doubled or changed; no mapping changed, shared or misled
  shoal verify records ONE MANY     two of them: the same came through, stream by stream

Exit status: 0 good, 1 something is wrong, 2 the captures cannot be judged."""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        report = _check(options)
    except (CaptureError, OSError) as error:
        print(f"shoal verify: {error}", file=sys.stderr)
        return STATUS_USAGE
    print(report.to_json() if options.json else report.to_text())
    return STATUS_GOOD if report.good else STATUS_BAD


def _check(options: argparse.Namespace) -> Report:
    if options.mode == "record":
        return judge_record(load_record(options.run), options.allow_loss)
    if options.mode == "records":
        return compare_records(load_record(options.one), load_record(options.many), options.allow_loss)
    public = frozenset(int(address) for network in options.public for address in network)
    idle = {protocol: times for given in options.idle for protocol, times in given.items()}
    rules = Rules(public=public, idle=idle, loss_allowed=options.allow_loss)
    if options.mode == "translation":
        return Translation(load(options.run, public), rules).check().report
    return compare(load(options.one, public), load(options.many, public), rules)


def _network(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _idle(text: str) -> dict[int, Idle]:
    """Idle times by protocol."""
    name, _, times = text.rpartition("=")
    protocols = {known: number for number, known in PROTOCOL_NAMES.items()}
    least, _, most = times.partition("-")
    try:
        idle = Idle(int(float(least) * 1e9), int(float(most) * 1e9) if most else None)
        return {protocols[name]: idle} if name else dict.fromkeys(protocols.values(), idle)
    except (KeyError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text}: not as in 300, udp=300 or tcp=240-7571") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="shoal verify", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the report as JSON")
    common.add_argument("--allow-loss", type=int, default=0, metavar="N", help="packets that may be lost (default 0)")
    captures = argparse.ArgumentParser(add_help=False, parents=[common])
    captures.add_argument(
        "--public", type=_network, action="append", default=[], metavar="NETWORK",
        help="the NAT's public addresses; may be given again (default: those that the capture shows)",
    )  # fmt: skip
    captures.add_argument(
        "--idle", type=_idle, action="append", default=[], metavar="[PROTOCOL=]SECONDS[-SECONDS]",
        help="a mapping (of udp, tcp, icmp; default: any) may end after so long without a packet from inside, and has "
             "ended after so long (default: never); may be given again",
    )  # fmt: skip
    modes = parser.add_subparsers(dest="mode", required=True, metavar="MODE")
    translation = modes.add_parser("translation", parents=[captures], help="check one run by itself")
    translation.add_argument("run", type=Path, help="folder of the run")
    equivalence = modes.add_parser(
        "equivalence", parents=[captures], help="check a run against one on a single instance"
    )
    equivalence.add_argument("one", type=Path, help="folder of the run on one instance")
    equivalence.add_argument("many", type=Path, help="folder of the run on many")
    record = modes.add_parser("record", parents=[common], help="check what the generator recorded of one run")
    record.add_argument("run", type=Path, help="its JSON document")
    records = modes.add_parser("records", parents=[common], help="check such a record against one of a single instance")
    records.add_argument("one", type=Path, help="JSON document of the run on one instance")
    records.add_argument("many", type=Path, help="JSON document of the run on many")
    return parser
