# SPDX-License-Identifier: BSD-3-Clause
"""UDP flows of one packet size: so many clients, each with so many source ports, to so many servers."""

import argparse

from trex_stl_lib.api import (
    IP,
    UDP,
    Ether,
    STLFlowLatencyStats,
    STLPktBuilder,
    STLScVmRaw,
    STLStream,
    STLTXCont,
    STLVmFixChecksumHw,
    STLVmFlowVar,
    STLVmTupleGen,
    STLVmWrFlowVar,
)

CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FCS_BYTES = 4
SEED = 1


def address(first_byte, index):
    """The index-th host of 16.0.0.0/8 or 48.0.0.0/8, from .1 on."""
    host = index + 1
    return f"{first_byte}.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}"


class STLS1:
    """Direction 0 goes from clients to servers, direction 1 from servers to clients."""

    def create_stream(self, direction, tunables):
        clients = (address(16, 0), address(16, tunables.clients - 1))
        servers = (address(48, 0), address(48, tunables.servers - 1))
        macs = (CLIENT_MAC, SERVER_MAC) if direction == 0 else (SERVER_MAC, CLIENT_MAC)
        ends = (clients[0], servers[0]) if direction == 0 else (servers[0], clients[0])
        ports = (1024, 5000) if direction == 0 else (5000, 1024)
        client_fields = ("IP.src", "UDP.sport") if direction == 0 else ("IP.dst", "UDP.dport")
        server_field = "IP.dst" if direction == 0 else "IP.src"
        base = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1]) / UDP(sport=ports[0], dport=ports[1])
        packet = base / ("x" * (tunables.size - FCS_BYTES - len(base)))
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
                STLVmFlowVar("server", min_value=servers[0], max_value=servers[1], size=4, op="inc"),
                STLVmWrFlowVar(fv_name="client.ip", pkt_offset=client_fields[0]),
                STLVmWrFlowVar(fv_name="client.port", pkt_offset=client_fields[1]),
                STLVmWrFlowVar(fv_name="server", pkt_offset=server_field),
                STLVmFixChecksumHw(l3_offset="IP", l4_offset="UDP", l4_type=11),
            ]
        )
        return STLStream(
            name=f"udp_{tunables.size}",
            packet=STLPktBuilder(pkt=packet, vm=program),
            mode=STLTXCont(pps=tunables.pps),
            random_seed=SEED,
        )

    def create_latency_stream(self, direction, port_id, tunables):
        """A stream of its own, since its packets are not part of any flow above."""
        macs = (CLIENT_MAC, SERVER_MAC) if direction == 0 else (SERVER_MAC, CLIENT_MAC)
        ends = ("16.255.255.1", "48.255.255.1") if direction == 0 else ("48.255.255.1", "16.255.255.1")
        base = Ether(src=macs[0], dst=macs[1]) / IP(src=ends[0], dst=ends[1]) / UDP(sport=1024, dport=5000, chksum=0)
        return STLStream(
            name="latency",
            packet=STLPktBuilder(pkt=base / ("x" * (128 - FCS_BYTES - len(base)))),
            mode=STLTXCont(pps=tunables.latency_pps),
            flow_stats=STLFlowLatencyStats(pg_id=7 + port_id),
            random_seed=SEED,
        )

    def get_streams(self, direction=0, tunables=(), **kwargs):
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        parser.add_argument("--clients", type=int, default=64, help="client addresses")
        parser.add_argument("--ports", type=int, default=256, help="source ports of each client")
        parser.add_argument("--servers", type=int, default=1, help="server addresses")
        parser.add_argument("--size", type=int, default=64, help="bytes of a packet, FCS included; at least 64")
        parser.add_argument("--pps", type=float, default=100000, help="packets a second")
        parser.add_argument("--latency-pps", type=float, default=0, help="latency packets a second; 0: none")
        arguments = parser.parse_args(tunables)
        streams = [self.create_stream(direction, arguments)]
        if arguments.latency_pps:
            streams.append(self.create_latency_stream(direction, kwargs.get("port_id", 0), arguments))
        return streams


def register():
    return STLS1()
