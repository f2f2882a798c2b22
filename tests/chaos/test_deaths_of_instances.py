# SPDX-License-Identifier: BSD-3-Clause
"""Instances are killed under traffic: another takes over what they held, flows go on with their mappings, and a fresh
one takes their place.

generator (inside) → splitter ⇄ rings ⇄ nat-1, nat-2, nat-3 → splitter → generator (outside), which answers
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from shoal import slabs
from tests.smoke.mortal import mortal

NOTICED_MS = 20
# Of the machine that runs all this at once: how long a killed process may take to be gone, and a process to be woken.
BUSY_MS = 200


@pytest.mark.timeout(180)
async def test_one_of_three_is_killed_and_every_flow_keeps_its_mapping(directory: Path) -> None:
    async with mortal(directory) as deployment, deployment.sending():
        dead = await deployment.instance(1)
        slab = slabs.noted(Path(dead.run_directory))
        assert slab is not None
        killed_ns = time.time_ns()
        deployment.kill(dead.process)
        ended = await deployment.until_event("instance.ended")
        assert (ended.time_ns - killed_ns) / 1e6 < NOTICED_MS + BUSY_MS
        completed = await deployment.until_event("view.completed")
        whole = await deployment.until_whole(3)
        assert dead.life not in {each.life for each in whole.instances}
        assert int(completed.fields["nat.mapping.adopted"]) > 0
        assert int(completed.fields["nat.mapping.lost"]) == 0
        assert int(completed.fields["nat.reverse.lost"]) == 0
        await deployment.flows_go_on()

        [told] = json.loads(await deployment.good("deaths", "--json"))
        assert [each["name"] for each in told["instances"]] == [dead.name]
        assert "SIGKILL" in told["instances"][0]["reason"]
        assert told["instances"][0]["adopter"] in {each.name for each in whole.instances}
        assert {each["class_name"] for each in told["classes"]} == {"nat.mapping", "nat.reverse", "nat.pool"}
        assert not slab.exists()
        assert not Path(dead.run_directory).exists()

        listed = await deployment.good("deaths", "--keys", "--fate", "adopted", "--limit", "0", "--json")
        rows = [json.loads(line) for line in listed.splitlines()]
        assert {(each["view"], each["fate"]) for each in rows} == {(told["view"], "adopted")}
        for each in told["classes"]:
            keys = [json.dumps(row["key"]) for row in rows if row["class"] == each["class_name"]]
            assert len(set(keys)) == len(keys) == each["adopted"]
        assert len((await deployment.good("deaths", "--keys", "--limit", "3")).splitlines()) == 3
        status, _, said = await deployment.command("deaths", "--keys", "--fate", "forgotten")
        assert status
        assert "adopted, rejected, lost" in said


@pytest.mark.timeout(180)
async def test_two_die_at_once_and_later_all(directory: Path) -> None:
    """Where nobody is left, a fresh instance adopts."""
    async with mortal(directory) as deployment, deployment.sending():
        for victims in (2, 3):
            before = await deployment.until_whole(3)
            async with deployment.client() as client:
                after = await client.last_event()
            for dead in before.instances[:victims]:
                deployment.kill(dead.process)
            await deployment.until_event("view.completed", after)
            await deployment.until_whole(3)
            await deployment.flows_go_on()
        async with deployment.client() as client:
            deaths = await client.deaths()
        assert sum(len(each.instances) for each in deaths) == 5
        # Fresh ones bear the numbers of dead ones: all that they ask for is answered, or they could not leave.
        await deployment.good("scale", "nat", "1")
        await deployment.until_whole(1)
        assert all(each.lost == 0 for told in deaths for each in told.classes if each.class_name != "nat.pool")


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_with_shrink_those_that_are_left_go_on_in_balance(directory: Path) -> None:
    async with mortal(directory, on_death="shrink") as deployment, deployment.sending():
        deployment.kill((await deployment.instance(1)).process)
        await deployment.until_event("view.completed")
        whole = await deployment.until_whole(2)
        assert whole.instances_wanted == 2
        await deployment.until(
            lambda status: sorted(each.steering_slots for each in status.instances) == [128, 128], "balance"
        )
        await deployment.flows_go_on()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("count", [pytest.param(4, marks=pytest.mark.long), 1])
async def test_a_member_dies_while_slots_are_handed_over(directory: Path, count: int) -> None:
    """The plan is over; afterwards what was wanted is reached all the same."""
    async with mortal(directory) as deployment, deployment.sending():
        victim = await deployment.instance(0)
        async with deployment.client() as client:
            after = await client.last_event()
            scaling = client.scale("nat", count)
            async for update in scaling:
                if update.stage == "handing_over":
                    deployment.kill(victim.process)
                    break
        await deployment.until_event("view.completed", after)
        await deployment.until_whole(count)
        await deployment.flows_go_on()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_with_shrink_a_death_takes_nothing_from_what_is_being_scaled_to(directory: Path) -> None:
    """What the operation says is there afterwards, and stays."""
    async with mortal(directory, on_death="shrink") as deployment, deployment.sending():
        victim, told = await deployment.instance(0), []
        async with deployment.client() as client:
            async for update in client.scale("nat", 4):
                told.append(update)
                if update.stage == "handing_over" and not deployment.has_killed(victim.process):
                    deployment.kill(victim.process)
        assert deployment.has_killed(victim.process)
        assert (told[-1].done, told[-1].text) == (True, "4 instances now")
        # By then whatever the death has brought about has had its turn.
        assert "4 instances already" in await deployment.good("scale", "nat", "4")
        assert (await deployment.until_whole(4)).instances_wanted == 4
        await deployment.flows_go_on()


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_joiner_dies_before_it_is_a_member_and_another_joins(directory: Path) -> None:
    async with mortal(directory, count=2) as deployment, deployment.sending():
        async with deployment.client() as client:
            async for _ in client.scale("nat", 3):
                joiners = [each for each in (await client.status()).instances if each.name == "nat-3" and each.process]
                if joiners:
                    deployment.kill(joiners[0].process)
                    break
        await deployment.until_event("instance.ended")
        await deployment.good("scale", "nat", "3")
        await deployment.until_whole(3)
        await deployment.flows_go_on()


@pytest.mark.timeout(180)
async def test_the_only_one_dies_while_others_are_started(directory: Path) -> None:
    """The one that recovery starts to adopt what it held, and those of the operation, do not get into each other's
    way."""
    starting = "SELECT pid FROM instances WHERE state = 'starting' AND pid > 0"
    async with mortal(directory, count=1) as deployment, deployment.sending():
        only = await deployment.instance(0)
        scaling = asyncio.create_task(deployment.command("scale", "nat", "3"))
        await asyncio.to_thread(deployment.watch_store, starting, lambda: deployment.kill(only.process), scaling.done)
        status, _, errors = await scaling
        assert status == 0, f"{errors}{await deployment.story()}"
        whole = await deployment.until_whole(3)
        assert only.life not in {each.life for each in whole.instances}
        await deployment.flows_go_on()


@pytest.mark.timeout(180)
async def test_a_scale_that_fails_says_so_and_leaves_as_many_wanted_as_before(directory: Path) -> None:
    starting = "SELECT pid FROM instances WHERE state = 'starting' AND pid > 0"
    async with mortal(directory, count=2) as deployment, deployment.sending():
        before = await deployment.until_whole(2)
        scaling = asyncio.create_task(deployment.command("scale", "nat", "3"))

        def kill() -> None:
            deployment.kill(int(deployment.read_store(starting)[0][0]))

        await asyncio.to_thread(deployment.watch_store, starting, kill, scaling.done)
        status, _, errors = await scaling
        assert status != 0
        assert "nat-3: its process was killed by SIGKILL" in errors
        after = await deployment.until_whole(0)
        assert after.instances_wanted == 2
        assert [each.process for each in after.instances] == [each.process for each in before.instances]
        assert [each.subject for each in await deployment.events() if each.kind == "operation.inverted"] == [
            "scale nat 3"
        ]
        await deployment.good("scale", "nat", "3")
        await deployment.until_whole(3)
        await deployment.flows_go_on()
