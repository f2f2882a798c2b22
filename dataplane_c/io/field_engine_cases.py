# SPDX-License-Identifier: BSD-3-Clause
"""Turns tests/data/field_engine.json into C: compiled streams, and the frames that a real server sent for each.

Run by the build: field_engine_cases.py CASES.json OUTPUT.h
"""

import base64
import json
import sys
from pathlib import Path

INTEGERS = {
    "size": "size",
    "init_value": "init_value",
    "min_value": "min_value",
    "max_value": "max_value",
    "step": "step",
    "limit": "limit",
    "limit_flows": "limit",
    "seed": "seed",
    "ip_min": "ip_min",
    "ip_max": "ip_max",
    "port_min": "port_min",
    "port_max": "port_max",
    "flags": "tuple_flags",
    "pkt_offset": "packet_offset",
    "add_value": "add_value",
    "is_big_endian": "big_endian",
    "pkt_cast_size": "cast_size",
    "mask": "mask",
    "shift": "shift",
    "l2_len": "l2_bytes",
    "l3_len": "l3_bytes",
    "l4_type": "l4_type",
}
OPERATIONS = {"inc": "SHOAL_VARIABLE_INCREMENT", "dec": "SHOAL_VARIABLE_DECREMENT", "random": "SHOAL_VARIABLE_RANDOM"}
IGNORED = {"split_to_cores"}  # there is one transmitting core


def instruction(entry: dict) -> str:
    """One initializer; a key that nobody knows is an error, not something to leave out."""
    parts = [f".kind = SHOAL_INSTRUCTION_{entry['type'].upper()}"]
    for key, value in entry.items():
        if key == "name":
            parts.append(f'.name = "{value}"')
        elif key == "op":
            parts.append(f".operation = {OPERATIONS[value]}")
        elif key == "next_var":
            parts.append(f'.next_name = "{value or ""}"')
        elif key == "value_list":
            values = ", ".join(str(number) for number in value)
            parts.append(f".values = (const uint64_t[]){{ {values} }}, .values_count = {len(value)}")
        elif key != "type" and key not in IGNORED:
            parts.append(f".{INTEGERS[key]} = {int(value)}")
    return "{ " + ", ".join(parts) + " }"


def characters(data: bytes) -> str:
    return "(const uint8_t[]){ " + ", ".join(str(byte) for byte in data) + " }"


def case(entry: dict) -> str:
    stream = entry["stream"]
    packet = base64.b64decode(stream["packet"]["binary"])
    instructions = ",\n\t\t".join(instruction(each) for each in stream["vm"]["instructions"])
    frames = [bytes.fromhex(frame) for frame in entry["packets"]]
    lines = [f'\t{{ .name = "{entry["name"]}", .stream = {{ .enabled = 1, .self_start = 1, .next = -1,']
    lines.append(f"\t\t.mode = SHOAL_STREAM_SINGLE_BURST, .burst_packets = {stream['mode']['total_pkts']},")
    lines.append(f"\t\t.rate_kind = SHOAL_RATE_PPS, .rate = {stream['mode']['rate']['value']},")
    lines.append(f"\t\t.random_seed = {stream['random_seed']}, .cache = {stream['vm'].get('cache', 0)},")
    lines.append(f"\t\t.packet = {characters(packet)}, .packet_bytes = {len(packet)},")
    lines.append(f"\t\t.instructions = (const struct shoal_instruction[]){{ {instructions} }},")
    lines.append(f"\t\t.instructions_count = {len(stream['vm']['instructions'])} }},")
    lines.append(f"\t  .frames_count = {len(frames)}, .frames = {{")
    lines += [f"\t\t{{ .length = {len(frame)}, .bytes = {characters(frame)} }}," for frame in frames]
    lines.append("\t  } },")
    return "\n".join(lines)


def main() -> None:
    source, target = sys.argv[1:]
    cases = json.loads(Path(source).read_text())["cases"]
    body = "\n".join(case(entry) for entry in cases)
    Path(target).write_text(f"static const struct field_case field_cases[] = {{\n{body}\n}};\n")


if __name__ == "__main__":
    main()
