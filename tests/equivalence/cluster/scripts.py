# SPDX-License-Identifier: BSD-3-Clause
"""What hosts inside do, and what is done to them from outside. Each script is about endpoints of its own; where it says
what the NAT must drop, it counts it."""

from __future__ import annotations

import struct

from tests.equivalence.cluster import frames
from tests.equivalence.cluster.frames import End, Flag, end
from tests.equivalence.cluster.traffic import (
    INSIDE,
    OUTSIDE,
    PORT_EXCEEDED,
    PORT_REFUSES,
    PORT_RESETS,
    PORT_SILENT,
    PORT_STAYS_OPEN,
    PORT_UNREACHABLE,
    PUBLIC,
    Maker,
    Script,
    Traffic,
)


def udp_flow(traffic: Traffic) -> Script:
    """One endpoint, two servers: the mapping is the same for both. It outlives the first silence, not the second."""
    client = traffic.client()
    servers = traffic.server(53), traffic.server(123)
    for phase in range(4):
        for _ in range(traffic.random.randrange(1, 7)):
            yield INSIDE, traffic.udp(client, traffic.random.choice(servers))
        if phase < 3:
            yield None


def udp_oddities(traffic: Traffic) -> Script:
    """Without checksum; with a wrong one; with VLAN tags; with IP options; to a silent server."""
    client, server = traffic.client(), traffic.server(53)
    yield INSIDE, traffic.udp(client, server, check=0)
    yield INSIDE, traffic.udp(client, server, check=0x1234)
    for tags in (7,), (100, 7):
        yield INSIDE, frames.ethernet(traffic.udp(client, server)[14:], tags=tags)
    segment = frames.udp(client, server, traffic.payload())
    options = b"\x01" * traffic.random.choice((4, 12, 40))
    packet = frames.ipv4(client.address, server.address, frames.UDP, segment, traffic.number(), options=options, tos=46)
    yield INSIDE, frames.ethernet(packet)
    yield INSIDE, traffic.udp(client, traffic.server(PORT_SILENT))


def tcp_connection(traffic: Traffic) -> Script:
    """From SYN to FIN, with servers of all manners, in one phase; then the same endpoint again, later."""
    client = traffic.client()
    for phase in range(3):
        server = traffic.server(traffic.random.choice((80, 80, PORT_REFUSES, PORT_RESETS, PORT_STAYS_OPEN)))
        yield INSIDE, traffic.tcp(client, server, Flag.SYN)
        if server.port != PORT_REFUSES:
            for _ in range(traffic.random.randrange(5)):
                yield INSIDE, traffic.tcp(client, server)
            yield INSIDE, traffic.tcp(client, server, traffic.random.choice((Flag.FIN, Flag.FIN, Flag.RST)) | Flag.ACK)
        if server.port == 80:
            yield INSIDE, traffic.tcp(client, server, payload=b"")
        if phase < 2:
            yield None


def tcp_long(traffic: Traffic) -> Script:
    """A connection that outlives UDP: its mapping is the same after 200 and 1200 s of silence, not after 8000 s."""
    client, server = traffic.client(), traffic.server(443)
    yield INSIDE, traffic.tcp(client, server, Flag.SYN)
    for phase in range(4):
        for _ in range(traffic.random.randrange(1, 5)):
            yield INSIDE, traffic.tcp(client, server)
        if traffic.random.random() < 0.5:
            yield OUTSIDE, traffic.tcp(server, client)
        if phase < 3:
            yield None


def tcp_midstream(traffic: Traffic) -> Script:
    """A connection whose beginning the NAT has not seen."""
    client, server = traffic.client(), traffic.server(22)
    for phase in range(4):
        for _ in range(traffic.random.randrange(1, 4)):
            yield INSIDE, traffic.tcp(client, server)
        if phase < 3:
            yield None


def tcp_from_outside(traffic: Traffic) -> Script:
    """A third party opens, closes and resets connections to a known endpoint; so does the server."""
    client, server, other = traffic.client(), traffic.server(80), traffic.server(4000)
    yield INSIDE, traffic.tcp(client, server, Flag.SYN)
    yield OUTSIDE, traffic.tcp(other, client, Flag.SYN)
    yield INSIDE, traffic.tcp(client, other, Flag.ACK)
    yield OUTSIDE, traffic.tcp(server, client, traffic.random.choice((Flag.FIN, Flag.RST)) | Flag.ACK)
    yield INSIDE, traffic.tcp(client, server, payload=b"")
    yield OUTSIDE, traffic.tcp(other, client)
    yield None
    if traffic.random.random() < 0.5:
        yield INSIDE, traffic.tcp(client, server, payload=bytes(100))
        yield OUTSIDE, traffic.tcp(other, client, Flag.RST)


def pings(traffic: Traffic) -> Script:
    """Echo and timestamp; each silence ends the mapping."""
    client, server = traffic.client(), traffic.server(0)
    for phase in range(4):
        for _ in range(traffic.random.randrange(1, 4)):
            yield INSIDE, traffic.query(client, server, traffic.random.choice((8, 8, 13)))
        yield OUTSIDE, traffic.query(End(server.address, 0), client, traffic.random.choice((0, 8)))
        if phase < 3:
            yield None


def errors_from_outside(traffic: Traffic) -> Script:
    """Routers report packets of all protocols: by the servers' rule, and by themselves. Errors keep nothing alive."""
    client = traffic.client()
    for port in PORT_EXCEEDED, PORT_UNREACHABLE:
        for _ in range(2):
            yield INSIDE, traffic.udp(client, traffic.server(port))
    other = traffic.client()
    for port in PORT_EXCEEDED, PORT_UNREACHABLE:
        yield INSIDE, traffic.tcp(other, traffic.server(port))
    pinging, server = traffic.client(), traffic.server(0)
    about = traffic.query(pinging, server, 8)
    yield INSIDE, about
    yield OUTSIDE, traffic.error(traffic.server(0).address, about)
    yield None
    traffic.drops["no_mapping"] += 1
    yield OUTSIDE, traffic.error(traffic.server(0).address, about)


def errors_from_inside(traffic: Traffic) -> Script:
    """A host reports what came from a server; one report is damaged."""
    client, server = traffic.client(), traffic.server(53)
    yield INSIDE, traffic.udp(client, server)
    about = traffic.udp(server, client)
    yield OUTSIDE, about
    yield INSIDE, traffic.error(client.address, about)
    traffic.drops["icmp_checksum"] += 1
    yield INSIDE, traffic.error(client.address, about, right=False)
    yield INSIDE, traffic.udp(client, server)


def fragments(traffic: Traffic) -> Script:
    """Datagrams in pieces: in order, the first one last, and without a first one."""
    client, server = traffic.client(), traffic.server(2049)
    for order in (0, 1, 2), (1, 2, 0), (2, 0, 1):
        datagram = frames.udp(client, server, traffic.random.randbytes(64))
        number = traffic.number()
        for piece in order:
            offset, more = piece * 3, frames.MORE_FRAGMENTS if piece < 2 else 0
            content = datagram[piece * 24 : piece * 24 + 24]
            packet = frames.ipv4(client.address, server.address, frames.UDP, content, number, fragment=more | offset)
            yield INSIDE, frames.ethernet(packet)
    traffic.drops["fragment_timeout"] += 1
    lonely, server = traffic.client(), traffic.server(2049)
    packet = frames.ipv4(lonely.address, server.address, frames.UDP, bytes(24), traffic.number(), fragment=3)
    yield INSIDE, frames.ethernet(packet)


def hairpin_udp(traffic: Traffic) -> Script:
    """Two hosts that have heard of each other's public endpoints from a server."""
    first, second, server = traffic.client(), traffic.client(), traffic.server(3478)
    yield INSIDE, traffic.udp(first, server)
    yield INSIDE, traffic.udp(second, server)
    for _ in range(traffic.random.randrange(2, 6)):
        yield INSIDE, traffic.udp(first, second)
        if traffic.random.random() < 0.5:
            yield INSIDE, traffic.udp(second, first)
    yield None
    yield INSIDE, traffic.udp(second, first)
    yield INSIDE, traffic.udp(first, second)
    yield None
    yield INSIDE, traffic.udp(first, server)
    traffic.drops["no_mapping"] += 1
    yield INSIDE, traffic.udp(first, second)


def hairpin_tcp(traffic: Traffic) -> Script:
    """A connection between two hosts inside, by way of the public address; the client's mapping begins with it."""
    client, server = traffic.client(), traffic.client()
    yield INSIDE, traffic.tcp(server, traffic.server(80), Flag.SYN)
    yield INSIDE, traffic.tcp(client, server, Flag.SYN)
    yield INSIDE, traffic.tcp(server, client, Flag.SYN | Flag.ACK)
    for phase in range(2):
        for _ in range(traffic.random.randrange(1, 4)):
            yield INSIDE, traffic.tcp(client, server)
            yield INSIDE, traffic.tcp(server, client)
        if phase < 1:
            yield None
    yield INSIDE, traffic.tcp(client, server, Flag.FIN | Flag.ACK)
    yield INSIDE, traffic.tcp(server, client, Flag.FIN | Flag.ACK)
    yield INSIDE, traffic.tcp(client, server, payload=b"")


def expired(traffic: Traffic) -> Script:
    """From outside to what has ended: dropped by name, until the host speaks again."""
    client, server = traffic.client(), traffic.server(53)
    yield INSIDE, traffic.udp(client, server)
    yield None
    yield OUTSIDE, traffic.udp(server, client)
    yield None
    traffic.drops["no_mapping"] += 2
    yield OUTSIDE, traffic.udp(server, client)
    yield OUTSIDE, traffic.udp(traffic.server(99), client)
    yield None
    yield INSIDE, traffic.udp(client, server)
    yield OUTSIDE, traffic.udp(traffic.server(99), client)


def unknown(traffic: Traffic) -> Script:
    """To ports that no mapping has, and to addresses that are not the NAT's."""
    for _ in range(traffic.random.randrange(1, 4)):
        target = end(traffic.random.choice(PUBLIC), traffic.random.randrange(1, 1024))
        traffic.drops["no_mapping"] += 2
        yield OUTSIDE, traffic.udp(traffic.server(53), target)
        yield OUTSIDE, traffic.tcp(traffic.server(53), target, traffic.random.choice((Flag.SYN, Flag.ACK, Flag.RST)))
    traffic.drops["destination_not_public"] += 1
    yield OUTSIDE, traffic.udp(traffic.server(53), end("198.18.1.1", 2000))


def refused(traffic: Traffic) -> Script:
    """From inside, what makes no mapping or is none of a NAT's business."""
    client, server = traffic.client(), traffic.server(80)
    traffic.drops["no_mapping"] += 2
    yield INSIDE, traffic.tcp(client, server, Flag.RST)
    yield INSIDE, traffic.query(client, server, 0)
    traffic.drops["source_not_inside"] += 1
    yield INSIDE, traffic.udp(end("192.168.1.1", 1024), server)
    traffic.drops["destination_not_unicast"] += 1
    yield INSIDE, traffic.udp(client, end("224.0.0.251", 5353))
    traffic.drops["protocol_not_translated"] += 1
    yield INSIDE, frames.ethernet(frames.ipv4(client.address, server.address, 47, bytes(40), traffic.number()))
    router = struct.pack("!BBHI", 9, 0, 0, 0)
    traffic.drops["icmp_not_translated"] += 1
    yield INSIDE, frames.ethernet(frames.ipv4(client.address, server.address, frames.ICMP, router, traffic.number()))


def busy_host(traffic: Traffic) -> Script:
    """A host with more flows than its steering slot has ports (252): the others borrow, and their two directions may
    meet at different instances. In the last phase, so that nobody gets a port which another script takes for ended."""
    for _ in range(3):
        yield None
    host = traffic.client().address
    clients = [End(host, 20000 + flow) for flow in range(265)]
    for _ in range(2):
        for client in clients:
            yield INSIDE, traffic.udp(client, End((50 << 24) + client.port, 53))


ALL: dict[Maker, int] = {
    udp_flow: 70,
    udp_oddities: 10,
    tcp_connection: 40,
    tcp_long: 40,
    tcp_midstream: 15,
    tcp_from_outside: 15,
    pings: 15,
    errors_from_outside: 8,
    errors_from_inside: 10,
    fragments: 8,
    hairpin_udp: 12,
    hairpin_tcp: 8,
    expired: 15,
    unknown: 8,
    refused: 6,
    busy_host: 1,
}
"""Enough of each that every run has some at the time of an event."""
