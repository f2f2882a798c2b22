# SPDX-License-Identifier: BSD-3-Clause
"""Flows that stay, and so many new ones a second: each new flow sends a few packets and is never heard of again."""

import argparse

from trex_stl_lib.api import (
    IP,
    UDP,
    Ether,
    STLPktBuilder,
    STLScVmRaw,
    STLStream,
    STLTXCont,
    STLVmFixChecksumHw,
    STLVmTupleGen,
    STLVmWrFlowVar,
)

CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FCS_BYTES = 4
SEED = 2
US_PER_S = 1e6
LAST_PORT = 65535


def address(first_byte, second_byte, index):
    """The index-th host of a /16, from .1 on."""
    host = index + 1
    return f"{first_byte}.{second_byte}.{host >> 8 & 255}.{host & 255}"


class STLS1:
    """Staying flows come from 16.0.0.0/16, new ones from 16.1.0.0/16. Direction 1 mirrors them: servers to clients."""

    def create_packet(self, direction, clients, ports, limit, tunables):
        """Every packet is the next client's; when all have had their turn, the port grows by one."""
        server = address(48, 0, 0)
        macs = (CLIENT_MAC, SERVER_MAC) if direction == 0 else (SERVER_MAC, CLIENT_MAC)
        ends = (clients[0], server) if direction == 0 else (server, clients[0])
        numbers = (1024, 5001) if direction == 0 else (5001, 1024)
        fields = ("IP.src", "UDP.sport") if direction == 0 else ("IP.dst", "UDP.dport")
        base = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1]) / UDP(sport=numbers[0], dport=numbers[1])
        program = STLScVmRaw(
            [
                STLVmTupleGen(
                    name="client",
                    ip_min=clients[0],
                    ip_max=clients[1],
                    port_min=ports[0],
                    port_max=ports[1],
                    limit_flows=limit,
                ),
                STLVmWrFlowVar(fv_name="client.ip", pkt_offset=fields[0]),
                STLVmWrFlowVar(fv_name="client.port", pkt_offset=fields[1]),
                STLVmFixChecksumHw(l3_offset="IP", l4_offset="UDP", l4_type=11),
            ]
        )
        return STLPktBuilder(pkt=base / ("x" * (tunables.size - FCS_BYTES - len(base))), vm=program)

    def create_staying(self, direction, tunables):
        clients = (address(16, 0, 0), address(16, 0, tunables.clients - 1))
        ports = (1024, 1023 + -(-tunables.flows // tunables.clients))
        return STLStream(
            name="staying",
            packet=self.create_packet(direction, clients, ports, tunables.flows, tunables),
            mode=STLTXCont(pps=tunables.pps),
            random_seed=SEED,
        )

    def create_new(self, direction, number, tunables):
        """The number-th packet of each new flow. These streams count through the same flows, one behind the other."""
        clients = (address(16, 1, 0), address(16, 1, tunables.clients - 1))
        gap_us = tunables.life * US_PER_S / max(tunables.packets - 1, 1)
        return STLStream(
            name=f"new_{number}",
            packet=self.create_packet(direction, clients, (1024, LAST_PORT), 0, tunables),
            mode=STLTXCont(pps=tunables.new_flows),
            isg=number * gap_us,
            random_seed=SEED,
        )

    def get_streams(self, direction=0, tunables=(), **kwargs):
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        parser.add_argument("--flows", type=int, default=10000, help="flows that stay")
        parser.add_argument("--pps", type=float, default=100000, help="packets a second of the flows that stay")
        parser.add_argument("--new-flows", type=float, default=1000, help="new flows a second")
        parser.add_argument("--packets", type=int, default=3, help="packets of each new flow")
        parser.add_argument("--life", type=float, default=2, help="seconds from its first packet to its last")
        parser.add_argument("--clients", type=int, default=256, help="client addresses, of each kind")
        parser.add_argument("--size", type=int, default=64, help="bytes of a packet, FCS included; at least 64")
        arguments = parser.parse_args(tunables)
        new = [self.create_new(direction, number, arguments) for number in range(arguments.packets)]
        return [self.create_staying(direction, arguments), *new]


def register():
    return STLS1()
