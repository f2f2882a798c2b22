# SPDX-License-Identifier: BSD-3-Clause
"""A load that rises in steps, and falls in the same ones: for watching instances come and go."""

import argparse

from trex_stl_lib.api import (
    IP,
    UDP,
    Ether,
    STLPktBuilder,
    STLScVmRaw,
    STLStream,
    STLTXSingleBurst,
    STLVmFixChecksumHw,
    STLVmTupleGen,
    STLVmWrFlowVar,
)

CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FCS_BYTES = 4
SEED = 4
US_PER_S = 1e6


def address(first_byte, index):
    """The index-th host of 16.0.0.0/8 or 48.0.0.0/8, from .1 on."""
    host = index + 1
    return f"{first_byte}.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}"


def rates(tunables):
    """Packets a second of each step: up from --low to --high, and down again."""
    rise = (tunables.high - tunables.low) / max(tunables.steps - 1, 1)
    up = [tunables.low + rise * step for step in range(tunables.steps)]
    return up + up[-2::-1]


class STLS1:
    """Each step is a stream that the one before it starts; all of them send the same flows."""

    def create_packet(self, direction, tunables):
        clients = (address(16, 0), address(16, tunables.clients - 1))
        server = address(48, 0)
        macs = (CLIENT_MAC, SERVER_MAC) if direction == 0 else (SERVER_MAC, CLIENT_MAC)
        ends = (clients[0], server) if direction == 0 else (server, clients[0])
        numbers = (1024, 5005) if direction == 0 else (5005, 1024)
        fields = ("IP.src", "UDP.sport") if direction == 0 else ("IP.dst", "UDP.dport")
        base = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1]) / UDP(sport=numbers[0], dport=numbers[1])
        program = STLScVmRaw(
            [
                STLVmTupleGen(
                    name="client",
                    ip_min=clients[0],
                    ip_max=clients[1],
                    port_min=1024,
                    port_max=1023 + tunables.ports,
                    limit_flows=0,
                ),
                STLVmWrFlowVar(fv_name="client.ip", pkt_offset=fields[0]),
                STLVmWrFlowVar(fv_name="client.port", pkt_offset=fields[1]),
                STLVmFixChecksumHw(l3_offset="IP", l4_offset="UDP", l4_type=11),
            ]
        )
        return STLPktBuilder(pkt=base / ("x" * (tunables.size - FCS_BYTES - len(base))), vm=program)

    def get_streams(self, direction=0, tunables=(), **kwargs):
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        parser.add_argument("--low", type=float, default=20000, help="packets a second of the first and the last step")
        parser.add_argument("--high", type=float, default=100000, help="packets a second at the top")
        parser.add_argument("--steps", type=int, default=5, help="steps from low to high")
        parser.add_argument("--hold", type=float, default=10, help="seconds of each step")
        parser.add_argument("--clients", type=int, default=128, help="client addresses")
        parser.add_argument("--ports", type=int, default=80, help="source ports of each client")
        parser.add_argument("--size", type=int, default=64, help="bytes of a packet, FCS included; at least 64")
        arguments = parser.parse_args(tunables)
        steps = rates(arguments)
        return [
            STLStream(
                name=f"step_{number}",
                packet=self.create_packet(direction, arguments),
                mode=STLTXSingleBurst(pps=pps, total_pkts=max(1, round(pps * arguments.hold))),
                isg=US_PER_S / pps if number else 0,
                self_start=number == 0,
                next=f"step_{number + 1}" if number + 1 < len(steps) else None,
                random_seed=SEED,
            )
            for number, pps in enumerate(steps)
        ]


def register():
    return STLS1()
