# SPDX-License-Identifier: BSD-3-Clause
"""Whoever fetches a channel or a packet ring may break off at any moment, and comes again: real processes, at whose
sockets the test knocks as another instance would."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from shoal.controller.instance_client import InstanceClient, LearnCommand
from shoal.descriptor_socket import DescriptorSocket, Message
from shoal.model import Peer
from shoal.proto import instance_pb2, splitter_pb2
from shoal.run_directory import ProcessDirectory
from shoal_dataplane import create_ring_pair
from tests.integration.test_hostile_requests import (
    TERM,
    Target,
    harmful,
    instance_configuration,
    process,
    splitter_configuration,
)

INSTANCES = instance_pb2.DESCRIPTOR.services_by_name["InstanceService"]
SPLITTERS = splitter_pb2.DESCRIPTOR.services_by_name["SplitterService"]
RING_BYTES = 4 << 20


def door(target: Target) -> Path:
    return ProcessDirectory(Path(target.address.removeprefix("unix:")).parent).peers


async def knock(target: Target, hello: Message) -> DescriptorSocket:
    """With a ring of its own, which only an instance wants."""
    connection = await DescriptorSocket.connect(door(target))
    ring = create_ring_pair(RING_BYTES)
    try:
        await connection.send(hello, ring)
    finally:
        os.close(ring)
    return connection


async def answered(connection: DescriptorSocket) -> tuple[Message, bool]:
    """What it says, and whether a descriptor came with it."""
    async with asyncio.timeout(20):
        answer, descriptor = await connection.receive()
    if descriptor is not None:
        os.close(descriptor)
    return answer, descriptor is not None


@pytest.mark.timeout(120)
async def test_a_peer_that_broke_off_gets_its_channel_when_it_comes_again() -> None:
    own, other = (
        Peer(1, 6, "nat-1", "/nowhere/peers.socket", "", 0),
        Peer(0, 5, "nat-0", "/nowhere/peers.socket", "", 0),
    )
    hello: Message = {"cluster": 9, "member": other.member, "life": other.life, "to_life": own.life}
    async with process("shoal.agent", INSTANCES, harmful) as target:
        request = instance_configuration()
        request.member, request.life = own.member, own.life
        assert (await target.call("Configure", request)).name == "OK", target.bad
        client = InstanceClient("nat-1", target.address, TERM)
        try:
            command = LearnCommand(0, 1, b"", bytes([own.member]) * 256, [], [other, own])
            learning = asyncio.create_task(client.learn(command))
            (await knock(target, hello)).close()
            connection = await knock(target, hello)
            assert await answered(connection) == ({"attached": True}, False)
            second = await knock(target, hello)
            assert "refused" in (await answered(second))[0]  # the one that it has is good
            second.close()
            await learning
            await connection.goodbye()
        finally:
            await client.close()


@pytest.mark.timeout(120)
async def test_an_instance_that_broke_off_gets_its_ring_when_it_comes_again() -> None:
    hello: Message = {"cluster": 9, "member": 0, "life": 1}
    async with process("shoal.splitter", SPLITTERS, harmful) as target:
        assert (await target.call("Configure", splitter_configuration())).name == "OK", target.bad
        attach = splitter_pb2.AttachMemberRequest(term=TERM, member=0, life=1)
        assert (await target.call("AttachMember", attach)).name == "OK", target.bad
        (await knock(target, hello)).close()
        async with asyncio.timeout(20):
            while True:
                assert (await target.call("AttachMember", attach)).name == "OK", target.bad
                connection = await knock(target, hello)
                answer, ring = await answered(connection)
                if ring:
                    break
                connection.close()
        assert answer == {"attached": True}
        await connection.goodbye()
