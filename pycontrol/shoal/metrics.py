# SPDX-License-Identifier: BSD-3-Clause
"""Statistics as Prometheus metrics: names with the prefix shoal_, durations in seconds."""

import math
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from shoal.errors import InvalidRequestError, RefusedError
from shoal.model import Statistic
from shoal_dataplane import StatisticKind

_NANOSECONDS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one component with the labels that all of them bear."""

    labels: Mapping[str, str]
    rows: Sequence[Statistic] = field(default_factory=tuple)


def _seconds(name: str) -> str:
    for suffix in ("_nanoseconds", "_ns", "_seconds"):
        name = name.removesuffix(suffix)
    return name + "_seconds"


_BASE_UNITS: Final = (("_milliseconds", 1e-3), ("_microseconds", 1e-6), ("_nanoseconds", 1e-9))


def _based(name: str) -> tuple[str, float]:
    """A name in Prometheus' base units, and what a value is multiplied with."""
    stem, total = name.removesuffix("_total"), "_total" if name.endswith("_total") else ""
    for suffix, factor in _BASE_UNITS:
        if stem.endswith(suffix):
            return f"{stem.removesuffix(suffix)}_seconds{total}", factor
    return name, 1


def _family(row: Statistic, labels: Sequence[str]) -> Metric:
    text = row.name.replace("_", " ")
    names = (*labels, row.label) if row.label else labels
    if row.kind is StatisticKind.HISTOGRAM:
        return HistogramMetricFamily(f"shoal_{_seconds(row.name)}", text, labels=names)
    name, _ = _based(row.name)
    text = name.replace("_", " ")
    if row.kind is StatisticKind.COUNTER:
        return CounterMetricFamily(f"shoal_{name}", text, labels=names)
    return GaugeMetricFamily(f"shoal_{name}", text, labels=names)


def histogram(rows: Iterable[Statistic]) -> tuple[list[tuple[str, float]], float]:
    """Buckets (upper bound in seconds, cumulative count) and sum in seconds of a histogram's rows."""
    buckets: list[tuple[str, float]] = []
    total = 0.0
    for row in rows:
        if row.bound == "sum":
            total = row.value / _NANOSECONDS
        else:
            bound = math.inf if row.bound == "+Inf" else float(row.bound) / _NANOSECONDS
            buckets.append(("+Inf" if math.isinf(bound) else repr(bound), float(row.value)))
    return buckets, total


def families(samples: Iterable[Sample]) -> Iterator[Metric]:
    """Metric families of all samples; samples share their label names."""
    found: dict[str, Metric] = {}
    for sample in samples:
        names, values = tuple(sample.labels), tuple(sample.labels.values())
        histograms: dict[tuple[str, str], list[Statistic]] = {}
        for row in sample.rows:
            family = found.setdefault(row.name, _family(row, names))
            if row.kind is StatisticKind.HISTOGRAM:
                histograms.setdefault((row.name, row.label_value), []).append(row)
            elif isinstance(family, CounterMetricFamily | GaugeMetricFamily):
                _, factor = _based(row.name)
                value = row.value if factor == 1 else row.value * factor
                family.add_metric((*values, row.label_value) if row.label else values, value)
        for (name, label_value), rows in histograms.items():
            family = found[name]
            if isinstance(family, HistogramMetricFamily):
                buckets, total = histogram(rows)
                of_row = (*values, label_value) if rows[0].label else values
                family.add_metric(of_row, buckets=buckets, sum_value=total)
    yield from found.values()


class _Source(Collector):
    def __init__(self, samples: Callable[[], Iterable[Sample]]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        return families(self._samples())


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port"."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidRequestError(f"{address!r} is no address of the form host:port")
    return host.strip("[]"), int(port)


def require_free(address: str) -> None:
    """RefusedError: nobody could serve metrics there now."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise _refusal(address, error) from error


def _refusal(address: str, error: OSError) -> RefusedError:
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return RefusedError(f"can't serve metrics on {address}: {reason}")


class Exporter:
    """Serves /metrics in a thread of its own. `samples` is called there."""

    def __init__(self, address: str, samples: Callable[[], Iterable[Sample]]) -> None:
        host, port = split_address(address)
        registry = CollectorRegistry()
        registry.register(_Source(samples))
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise _refusal(address, error) from error

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
