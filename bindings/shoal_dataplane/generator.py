# SPDX-License-Identifier: BSD-3-Clause
"""The built-in traffic generator, and the preview of what it would send."""

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from shoal_dataplane.door import check, check_created, ffi, lib, put_text
from shoal_dataplane.handle import Handle
from shoal_dataplane.stream import NativeStream, Stream
from shoal_dataplane.traffic import Latency, PacketGroup, StreamCounters, Totals, TrafficRow

LATENCY_BUCKETS: Final[int] = lib.SHOAL_LATENCY_BUCKETS
STAMP_BYTES: Final[int] = lib.SHOAL_STAMP_BYTES


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """As struct shoal_generator_config."""

    name: str
    link_bps: int = 0
    seed: int = 1
    packets: int = 32768
    catch_up_us: int = 2000
    flows_max: int = 1 << 20
    responses_max: int = 4096
    row_ms: int = 250
    rows_max: int = 4096


@dataclass(frozen=True, slots=True)
class GeneratorRun:
    """How one run goes; as struct shoal_generator_run."""

    multiplier: float = 1.0
    duration_s: float = 0.0  # 0: no end but the streams' own
    warm_up_ms: int = 0
    stamp: bool = True
    check_mappings: bool = False
    flow_idle_ms: int = 10000
    respond_every: int = 0


def latency_bucket_ns(bucket: int) -> int:
    """The greatest value that falls into a bucket of a Latency."""
    return int(lib.shoal_latency_bucket_ns(bucket))


def _filled(structure: Any, value: GeneratorConfig | GeneratorRun) -> Any:
    for field in value.__slots__:
        content = getattr(value, field)
        if isinstance(content, str):
            put_text(structure, field, content)
        else:
            setattr(structure, field, content)
    return structure


class Generator(Handle):
    """Sends streams, and checks what comes back. Close it after the splitter that it is attached to."""

    def __init__(self, config: GeneratorConfig) -> None:
        structure = _filled(ffi.new("struct shoal_generator_config *"), config)
        super().__init__(check_created(lib.shoal_generator_create(structure)))
        self._rows_max = config.rows_max

    def _destroy(self, pointer: Any) -> None:
        lib.shoal_generator_destroy(pointer)

    def add_stream(self, nf_port: int, stream: Stream) -> None:
        """For the next start; the first one added after a start begins a new profile."""
        native = NativeStream(stream)
        check(lib.shoal_generator_add_stream(self.pointer, nf_port, native.structure))

    def start(self, run: GeneratorRun) -> None:
        """Everything begins anew, counters too. EINVAL: the streams do not fit together. EBUSY: it runs already."""
        check(lib.shoal_generator_start(self.pointer, _filled(ffi.new("struct shoal_generator_run *"), run)))

    def stop(self) -> None:
        """Sends nothing more; goes on checking what arrives."""
        check(lib.shoal_generator_stop(self.pointer))

    def set_multiplier(self, multiplier: float) -> None:
        check(lib.shoal_generator_set_multiplier(self.pointer, multiplier))

    def pause(self, nf_port: int, stream: int, *, paused: bool) -> None:
        check(lib.shoal_generator_pause(self.pointer, nf_port, stream, int(paused)))

    def totals(self) -> Totals:
        structure = ffi.new("struct shoal_generator_totals *")
        check(lib.shoal_generator_totals(self.pointer, structure))
        return Totals.from_native(structure)

    def streams(self) -> tuple[StreamCounters, ...]:
        count = check(lib.shoal_generator_streams(self.pointer, 0, ffi.NULL, 0))
        structures = ffi.new("struct shoal_generator_stream[]", max(1, count))
        filled = min(count, check(lib.shoal_generator_streams(self.pointer, 0, structures, count)))
        return tuple(StreamCounters.from_native(structure) for structure in structures[0:filled])

    def packet_groups(self) -> tuple[PacketGroup, ...]:
        found: list[PacketGroup] = []
        structure = ffi.new("struct shoal_packet_group *")
        while (answer := lib.shoal_generator_packet_group(self.pointer, len(found), structure)) != -errno.ENOENT:
            check(answer)
            found.append(PacketGroup.from_native(structure))
        return tuple(found)

    def latency(self) -> Latency:
        """Of all stamped packets since start."""
        structure = ffi.new("struct shoal_latency *")
        check(lib.shoal_generator_latency(self.pointer, structure))
        return Latency.from_native(structure)

    def drain(self) -> tuple[TrafficRow, ...]:
        """The rows that have ended since the last call."""
        structures = ffi.new("struct shoal_traffic_row[]", self._rows_max)
        count = check(lib.shoal_generator_drain(self.pointer, structures, self._rows_max))
        return tuple(TrafficRow.from_native(structure) for structure in structures[0:count])


@dataclass(frozen=True, slots=True)
class PreviewPacket:
    time_s: float
    stream: int
    nf_port: int
    frame: bytes  # without FCS


class Preview(Handle):
    """What the generator would send, in virtual time; needs no EAL."""

    def __init__(self, link_bps: int, seed: int) -> None:
        structure = ffi.new("struct shoal_preview_config *", {"link_bps": link_bps, "seed": seed})
        super().__init__(check_created(lib.shoal_preview_create(structure)))

    def _destroy(self, pointer: Any) -> None:
        lib.shoal_preview_destroy(pointer)

    def add_stream(self, nf_port: int, stream: Stream) -> None:
        native = NativeStream(stream)
        check(lib.shoal_preview_add_stream(self.pointer, nf_port, native.structure))

    def start(self, multiplier: float = 1.0, duration_s: float = 0.0) -> None:
        """After all streams. EINVAL: they do not fit together."""
        check(lib.shoal_preview_start(self.pointer, multiplier, duration_s))

    def packets(self) -> Iterator[PreviewPacket]:
        """The packets of all ports, by time; without end where the streams have none."""
        packet = ffi.new("struct shoal_preview_packet *")
        while check(lib.shoal_preview_next(self.pointer, packet)):
            frame = bytes(ffi.buffer(packet.frame, packet.length))
            yield PreviewPacket(packet.time_s, packet.stream, packet.nf_port, frame)

    def rate(self, nf_port: int, stream: int) -> tuple[float, float]:
        """Packets a second of one stream at multiplier 1, and their mean length without FCS."""
        pps, mean_bytes = ffi.new("double *"), ffi.new("double *")
        check(lib.shoal_preview_rate(self.pointer, nf_port, stream, pps, mean_bytes))
        return float(pps[0]), float(mean_bytes[0])
