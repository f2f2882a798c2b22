# SPDX-License-Identifier: BSD-3-Clause
"""An instance is drained: a real process that reads packets from devices of its own, and a leaver of a deployment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shoal.controller.instance_client import InstanceClient, LearnCommand
from shoal.model import DrainProgress, Peer, Stage
from shoal.proto import common_pb2, instance_pb2
from shoal.run_directory import RunDirectory
from tests.integration.test_deployment import FLOWS, Shell, config, frame, shell, until, write_pcap
from tests.integration.test_hostile_requests import TERM, Target, harmful, instance_configuration, process

__all__ = ["config", "shell"]

SERVICE = instance_pb2.DESCRIPTOR.services_by_name["InstanceService"]


@contextlib.asynccontextmanager
async def alone(target: Target, folder: Path) -> AsyncIterator[InstanceClient]:
    """Configured with ports of its own, and the only member."""
    write_pcap(folder / "in.pcap", [frame(flow) for flow in range(FLOWS)])
    request = instance_configuration()
    request.sizes.packets = 8192
    inside = f"net_pcap0,rx_pcap={folder / 'in.pcap'},infinite_rx=1,tx_pcap=/dev/null"
    outside = f"net_pcap1,rx_pcap={folder / 'in.pcap'},tx_pcap=/dev/null"
    for number, device in enumerate((inside, outside)):
        request.ports.add().CopyFrom(common_pb2.Port(number=number, device=device))
    assert (await target.call("Configure", request)).name == "OK", target.bad
    client = InstanceClient("nat-1", target.address, TERM)
    try:
        own = [Peer(0, 1, "nat-1", "/nowhere/peers.socket", "", 0)]
        await client.learn(LearnCommand(0, 1, b"", bytes(256), [], own))
        await client.hand_over(1)
        async with asyncio.timeout(20):
            while (await client.progress()).stage is not Stage.DONE:
                await asyncio.sleep(0.01)
        await client.forget(1, [])
        yield client
    finally:
        await client.close()


async def figure(client: InstanceClient, name: str) -> int:
    return sum(row.value for row in await client.statistics() if row.name == name)


async def grows(client: InstanceClient, name: str) -> int:
    """Waits until a counter has grown; gives what it is then."""
    before = await figure(client, name)
    async with asyncio.timeout(20):
        while (after := await figure(client, name)) <= before:
            await asyncio.sleep(0.01)
    return after


async def drained(client: InstanceClient) -> DrainProgress:
    async with asyncio.timeout(20):
        while not (progress := await client.drain()).empty:
            await asyncio.sleep(0.01)
    return progress


@pytest.mark.timeout(120)
async def test_what_it_has_in_hand_ends_and_nothing_new_comes_in(tmp_path: Path) -> None:
    async with process("shoal.agent", SERVICE, harmful) as target, alone(target, tmp_path) as client:
        await grows(client, "packets_transmitted_total")
        progress = await drained(client)
        assert progress == DrainProgress(
            draining=True, empty=True, packets=0, microthreads=0, requests=0, channel_bytes=0
        )
        received = await figure(client, "packets_received_total")
        polls = await figure(client, "polls_total")
        async with asyncio.timeout(20):
            while await figure(client, "polls_total") < polls + 100:
                await asyncio.sleep(0.01)
        assert await figure(client, "packets_received_total") == received
        assert await figure(client, "packets_inside") == 0
        dropped = await figure(client, "drops_total")
        assert received == await figure(client, "packets_transmitted_total") + dropped

        assert not (await client.resume()).draining
        assert await grows(client, "packets_received_total") > received


@pytest.mark.timeout(180)
def test_one_that_leaves_is_drained_before_it_is_left(shell: Shell) -> None:
    until(lambda: len(shell.objects("nat.mapping")) == FLOWS, "a mapping for each flow")
    shell.good("scale", "nat", "2")
    shell.good("drain", "nat-1")
    assert [event["subject"] for event in shell.events() if event["kind"] == "instance.draining"] == ["nat-1"]
    term = shell.status()["term"]

    async def ask() -> DrainProgress:
        client = InstanceClient("nat-1", RunDirectory(shell.directory).instance("nat-1").address, term)
        try:
            return await client.drain()
        finally:
            await client.close()

    assert asyncio.run(ask()).empty
