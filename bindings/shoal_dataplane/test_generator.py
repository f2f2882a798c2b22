# SPDX-License-Identifier: BSD-3-Clause
import struct

import pytest

from shoal_dataplane import (
    DataplaneError,
    Instruction,
    InstructionKind,
    Preview,
    Stream,
    StreamMode,
    latency_bucket_ns,
)

FRAME = (
    bytes.fromhex("020000000001 020000000002 0800".replace(" ", ""))
    + bytes.fromhex("4500002e00000000401100000a000001c0000201")
    + struct.pack("!HHHH", 1024, 53, 26, 0)
    + bytes(18)
)


def preview(stream: Stream) -> list[tuple[float, bytes]]:
    with Preview(link_bps=0, seed=1) as made:
        made.add_stream(0, stream)
        made.start()
        return [(packet.time_s, packet.frame) for packet in made.packets()]


def test_a_burst_leaves_at_its_rate_and_ends() -> None:
    packets = preview(Stream("burst", FRAME, 1000.0, mode=StreamMode.SINGLE_BURST, burst_packets=3))
    assert [round(time, 6) for time, _ in packets] == [0.0, 0.001, 0.002]
    assert {frame for _, frame in packets} == {FRAME}


def test_a_variable_is_written_where_it_is_told() -> None:
    instructions = (
        Instruction(InstructionKind.FLOW_VAR, "port", size=2, init_value=7, min_value=7, max_value=8, step=1),
        Instruction(InstructionKind.WRITE_FLOW_VAR, "port", packet_offset=34),
    )
    stream = Stream("two", FRAME, 1.0, mode=StreamMode.SINGLE_BURST, burst_packets=3, instructions=instructions)
    assert [struct.unpack_from("!H", frame, 34)[0] for _, frame in preview(stream)] == [7, 8, 7]


def test_a_list_of_values_is_gone_through() -> None:
    instructions = (
        Instruction(InstructionKind.FLOW_VAR, "port", size=2, values=(5, 9), step=1),
        Instruction(InstructionKind.WRITE_FLOW_VAR, "port", packet_offset=34),
    )
    stream = Stream("list", FRAME, 1.0, mode=StreamMode.SINGLE_BURST, burst_packets=3, instructions=instructions)
    assert [struct.unpack_from("!H", frame, 34)[0] for _, frame in preview(stream)] == [5, 9, 5]


def test_streams_that_do_not_fit_together_are_refused_with_a_sentence() -> None:
    with Preview(link_bps=0, seed=1) as made:
        made.add_stream(0, Stream("lost", FRAME, 1.0, mode=StreamMode.SINGLE_BURST, burst_packets=1, next=7))
        with pytest.raises(DataplaneError) as caught:
            made.start()
    assert caught.value.name == "EINVAL"
    assert caught.value.sentence


def test_a_closed_preview_refuses_further_use() -> None:
    made = Preview(link_bps=0, seed=1)
    made.close()
    made.close()
    with pytest.raises(ValueError, match="closed"):
        made.start()


def test_latency_buckets_grow() -> None:
    values = [latency_bucket_ns(bucket) for bucket in range(1024)]
    assert values == sorted(set(values))
    assert values[31] == 31
