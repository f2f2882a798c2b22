# SPDX-License-Identifier: BSD-3-Clause
"""Whether a run on many instances sent what a run on one did, given the same input: for each flow the same packets in
the same order, up to one consistent exchange of what the NAT allocated. Times do not count.

Each run is first put into terms of inside and remote endpoints (`translation`), in which nothing allocated is left.
Flows then correspond one to one, and so do their mappings where an inside endpoint got another public one as often in
both.
"""

from __future__ import annotations

from collections import Counter

from shoal.verify.frame import PROTOCOL_NAMES
from shoal.verify.report import Fault, Report
from shoal.verify.run import Run
from shoal.verify.translation import Flow, Rules, Translated, Translation

JUDGED_TOGETHER = (Fault.LOST,)
"""What is no fault of the many if the one did the same, and is therefore judged by comparison only."""


def compare(one: Run, many: Run, rules: Rules) -> Report:
    """Checks both runs by themselves, then against each other. The findings on a single run name it."""
    return compare_checked(Translation(one, rules).check(), Translation(many, rules).check())


def compare_checked(one: Translation, many: Translation) -> Report:
    """As compare, for runs that have been checked by themselves."""
    report = Report(loss_allowed=many.report.loss_allowed)
    for name, translation in (("one", one), ("many", many)):
        report.checked |= {f"{name}_{what}": number for what, number in translation.report.checked.items()}
        for finding in translation.report.findings:
            if finding.fault not in JUDGED_TOGETHER:
                report.add(finding.fault, f"{name}: {finding.text}")
    _compare_inputs(one.translated, many.translated, report)
    _compare_outputs(one.translated, many.translated, report)
    _compare_mappings(one.translated, many.translated, report)
    _compare_drops(one.run, many.run, report)
    return report


def _compare_inputs(one: Translated, many: Translated, report: Report) -> None:
    for flow in sorted(one.received.keys() | many.received.keys()):
        if one.received.get(flow) != many.received.get(flow):
            numbers = len(one.received.get(flow, ())), len(many.received.get(flow, ()))
            text = f"{_name(flow)}: the runs were given different packets ({numbers[0]} and {numbers[1]})"
            report.add(Fault.INPUTS_DIFFER, text)


def _compare_outputs(one: Translated, many: Translated, report: Report) -> None:
    for flow in sorted(one.sent.keys() | many.sent.keys()):
        first, second = one.sent.get(flow, []), many.sent.get(flow, [])
        if first == second:
            continue
        missing = Counter(first) - Counter(second)
        surplus = Counter(second) - Counter(first)
        for _ in range(missing.total()):
            report.add(Fault.LOST, f"{_name(flow)}: one sent a packet that many did not")
        if surplus:
            report.add(Fault.OUTPUTS_DIFFER, f"{_name(flow)}: many sent {surplus.total()} packets that one did not")
        common = Counter(first) & Counter(second)
        if _only(first, common) != _only(second, common):
            report.add(Fault.REORDERED, f"{_name(flow)}: many sent the packets in another order than one")


def _only(packets: list[bytes], wanted: Counter[bytes]) -> list[bytes]:
    """The packets that are wanted, each as often as it is, in their order."""
    left = Counter(wanted)
    kept = []
    for packet in packets:
        if left[packet]:
            left[packet] -= 1
            kept.append(packet)
    return kept


def _compare_mappings(one: Translated, many: Translated, report: Report) -> None:
    for key in sorted(one.mappings.keys() | many.mappings.keys()):
        protocol, inside = key
        if one.mappings.get(key, 0) != many.mappings.get(key, 0):
            name = PROTOCOL_NAMES.get(protocol, protocol)
            times = one.mappings.get(key, 0), many.mappings.get(key, 0)
            text = f"{name} {inside} changed its public endpoint {times[0]} times on one, {times[1]} times on many"
            report.add(Fault.MAPPING_CHANGED, text)


def _compare_drops(one: Run, many: Run, report: Report) -> None:
    if one.drops is None or many.drops is None:
        return
    for reason in sorted(one.drops.keys() | many.drops.keys()):
        numbers = one.drops.get(reason, 0), many.drops.get(reason, 0)
        if numbers[0] != numbers[1]:
            report.add(Fault.DROPS_DIFFER, f"{reason}: one dropped {numbers[0]}, many {numbers[1]}")


def _name(flow: Flow) -> str:
    direction, protocol, inside, remote = flow
    return f"{direction}: {PROTOCOL_NAMES.get(protocol, protocol)} {inside} ↔ {remote}"
