# SPDX-License-Identifier: BSD-3-Clause
"""How a run goes: options as text, checked; multipliers as TRex writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from shoal.traffic.pcap import make_preview
from shoal.traffic.streams import CompiledTraffic
from shoal_dataplane.generator import GeneratorRun
from shoal_dataplane.stream import GroupKind

FCS_BYTES: Final = 4
GAP_BYTES: Final = 20
U32_MAX: Final = 0xFFFFFFFF

MULTIPLIER: Final = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<scale>[kmgKMG]?)(?P<unit>|pps|bps|bpsl1|%)")
SCALES: Final[Mapping[str, float]] = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}


class OptionError(ValueError):
    """An option that can't be; the text names it."""


@dataclass(frozen=True, slots=True)
class TrafficOptions:
    """Times in seconds; respond_every: every n-th packet of a flow is answered, 0 for none."""

    multiplier: str = "1"
    duration: float = 0.0
    warm_up: float = 0.0
    stamp: bool = True
    check_mappings: bool = True
    flow_idle: float = 10.0
    respond_every: int = 0


def _number(name: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise OptionError(f"{name}: {text!r} is not a number from 0 to {most:g}")
    return value


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) > U32_MAX:
        raise OptionError(f"{name}: {text!r} is not a whole number from 0 to {U32_MAX}")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise OptionError(f"{name}: {text!r} is neither true nor false")
    return text == "true"


def _multiplier(name: str, text: str) -> str:
    match = MULTIPLIER.fullmatch(text.strip())
    if not match or not float(match["number"]) > 0:
        raise OptionError(f"{name}: {text!r} is not like 2, 10kpps, 1gbps, 1gbpsl1 or 50%, above 0")
    return text.strip()


def _seconds(name: str, text: str) -> float:
    return _number(name, text, 1e6)


READERS: Final[Mapping[str, Callable[[str, str], Any]]] = {
    "multiplier": _multiplier,
    "duration": _seconds,
    "warm_up": _seconds,
    "stamp": _boolean,
    "check_mappings": _boolean,
    "flow_idle": _seconds,
    "respond_every": _whole,
}


def parse_options(options: Mapping[str, str]) -> TrafficOptions:
    """OptionError for one that is unknown or can't be. Without stamps nothing is answered, and no mapping checked."""
    for name in options:
        if name not in READERS:
            raise OptionError(f"{name}: there is no such option; there are {', '.join(READERS)}")
    found = replace(TrafficOptions(), **{name: READERS[name](name, text) for name, text in options.items()})
    if found.stamp:
        if found.flow_idle < 0.001:
            raise OptionError("flow_idle: at least 0.001 s")
        return found
    if found.respond_every:
        raise OptionError("respond_every: without stamps nothing can be answered")
    if options.get("check_mappings") == "true":
        raise OptionError("check_mappings: without stamps no mapping is known")
    return replace(found, check_mappings=False)


def options_as_text(options: TrafficOptions) -> dict[str, str]:
    """What parse_options reads."""

    def text(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {each.name: text(getattr(options, each.name)) for each in fields(options)}


@dataclass(frozen=True, slots=True)
class OfferedRate:
    """At multiplier 1. Latency streams are apart: no multiplier changes them. Bits count the FCS, at L1 the gap too."""

    pps: float
    bps: float
    bps_l1: float


def offered_rates(traffic: CompiledTraffic) -> tuple[OfferedRate, ...]:
    """Of each port, as if all its enabled streams sent at once."""
    found = []
    with make_preview(traffic) as preview:
        for port in traffic.ports:
            pps = bps = bps_l1 = 0.0
            for number, stream in enumerate(port.streams):
                if stream.group_kind is GroupKind.LATENCY or not stream.enabled:
                    continue
                own_pps, mean_bytes = preview.rate(port.nf_port, number)
                pps += own_pps
                bps += own_pps * (mean_bytes + FCS_BYTES) * 8
                bps_l1 += own_pps * (mean_bytes + FCS_BYTES + GAP_BYTES) * 8
            found.append(OfferedRate(pps, bps, bps_l1))
    return tuple(found)


def multiplier_of(text: str, traffic: CompiledTraffic) -> float:
    """The factor that a multiplier means. An absolute rate is that of the busiest port; the others follow it."""
    match = MULTIPLIER.fullmatch(_multiplier("multiplier", text))
    assert match is not None
    value = float(match["number"]) * SCALES[match["scale"].lower()]
    if not match["unit"]:
        return value
    rates = offered_rates(traffic)
    busiest = {
        "pps": max((rate.pps for rate in rates), default=0.0),
        "bps": max((rate.bps for rate in rates), default=0.0),
    }.get(match["unit"], max((rate.bps_l1 for rate in rates), default=0.0))
    if match["unit"] == "%":
        if not traffic.link_bps:
            raise OptionError("multiplier: a percentage needs a link with a speed")
        value *= traffic.link_bps / 100
    if not busiest > 0:
        raise OptionError("multiplier: no stream has a rate that could be multiplied")
    return value / busiest


def generator_run(options: TrafficOptions, traffic: CompiledTraffic) -> GeneratorRun:
    return GeneratorRun(
        multiplier=multiplier_of(options.multiplier, traffic),
        duration_s=options.duration,
        warm_up_ms=round(options.warm_up * 1000),
        stamp=options.stamp,
        check_mappings=options.check_mappings,
        flow_idle_ms=round(options.flow_idle * 1000),
        respond_every=options.respond_every,
    )
