# SPDX-License-Identifier: BSD-3-Clause
"""The usual mixture of packet sizes: seven of 64 bytes, four of 570, one of 1518 (FCS included)."""

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
SEED = 3
US_PER_S = 1e6
MIXTURE = ((64, 7), (570, 4), (1518, 1))  # bytes, share
SHARES = sum(share for _, share in MIXTURE)


def address(first_byte, index):
    """The index-th host of 16.0.0.0/8 or 48.0.0.0/8, from .1 on."""
    host = index + 1
    return f"{first_byte}.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}"


class STLS1:
    """Each size has flows of its own: same clients, other server port."""

    def create_stream(self, direction, number, tunables):
        size, share = MIXTURE[number]
        pps = tunables.pps * share / SHARES
        clients = (address(16, 0), address(16, tunables.clients - 1))
        server = address(48, 0)
        macs = (CLIENT_MAC, SERVER_MAC) if direction == 0 else (SERVER_MAC, CLIENT_MAC)
        ends = (clients[0], server) if direction == 0 else (server, clients[0])
        numbers = (1024, 5002 + number) if direction == 0 else (5002 + number, 1024)
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
        return STLStream(
            name=f"size_{size}",
            packet=STLPktBuilder(pkt=base / ("x" * (size - FCS_BYTES - len(base))), vm=program),
            mode=STLTXCont(pps=pps),
            isg=number * US_PER_S / tunables.pps,
            random_seed=SEED + number,
        )

    def get_streams(self, direction=0, tunables=(), **kwargs):
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        parser.add_argument("--clients", type=int, default=64, help="client addresses")
        parser.add_argument("--ports", type=int, default=64, help="source ports of each client")
        parser.add_argument("--pps", type=float, default=60000, help="packets a second, of all sizes together")
        arguments = parser.parse_args(tunables)
        return [self.create_stream(direction, number, arguments) for number in range(len(MIXTURE))]


def register():
    return STLS1()
