# SPDX-License-Identifier: BSD-3-Clause
"""The controller is killed in the middle of plans and view changes, and comes back; packets are unaffected, and what
was begun is completed or inverted. When to kill is read from its store, which it writes before each step."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import pytest

from shoal.run_directory import ProcessIdentity
from tests.smoke.mortal import Mortal, mortal

STAGES = {
    "learn": "SELECT * FROM plan",
    "hand over": "SELECT * FROM plan WHERE stage >= 2",
    "complete": "SELECT * FROM plan WHERE stage >= 3",
    "leavers end": "SELECT * FROM instances WHERE state = 'stopping' AND NOT EXISTS (SELECT * FROM plan)",
}
TRIES = 8


async def killed_when(deployment: Mortal, statement: str, work: asyncio.Task[object]) -> bool:
    """Kills the controller as soon as the statement finds something in its store; whether it was found before the work
    was done."""
    process = (await deployment.status()).process
    await asyncio.to_thread(deployment.watch_store, statement, lambda: deployment.kill(process), work.done)
    if not deployment.has_killed(process):
        return False
    await deployment.end_controller(process)
    await asyncio.wait((work,))
    return True


async def killed_while_scaling(deployment: Mortal, statement: str, count: int) -> None:
    """Scales there and back until a step that is over in a moment has been caught."""
    start = len((await deployment.status()).instances)
    for _ in range(TRIES):
        scaling = asyncio.create_task(deployment.command("scale", "nat", str(count)))
        if await killed_when(deployment, statement, scaling):
            return
        await scaling
        await deployment.good("scale", "nat", str(start))
    raise AssertionError(f"never seen in {TRIES} plans: {statement}")


@pytest.mark.timeout(240)
async def test_killed_at_each_step_of_a_plan(directory: Path) -> None:
    async with mortal(directory, count=2) as deployment, deployment.sending():
        for stage, count in (("learn", 3), ("hand over", 1), ("hand over", 3), ("leavers end", 2), ("complete", 1)):
            await killed_while_scaling(deployment, STAGES[stage], count)
            await deployment.flows_go_on_without_controller()
            await deployment.good("up", str(deployment.file))
            await deployment.until_whole(count)
            await deployment.flows_go_on()


@pytest.mark.timeout(240)
async def test_a_scale_out_without_room_is_not_tried_for_ever_by_the_next_controller(directory: Path) -> None:
    """It fails with its reason, once, and as many are wanted as there were."""
    starting = "SELECT * FROM instances WHERE state = 'starting' AND pid > 0"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        third = taken.getsockname()[1]  # where the metrics of a third instance would be
        taken.listen()
        metrics = f'metrics: {{ address: "127.0.0.1:{third - 4}" }}\n'
        async with mortal(directory, count=2, extra=metrics) as deployment, deployment.sending():
            await killed_while_scaling(deployment, starting, 3)
            await deployment.good("up", str(deployment.file))
            inverted = await deployment.until_event("operation.inverted")
            assert inverted.text == "2 instances wanted, as before"
            whole = await deployment.until_whole(2)
            assert whole.instances_wanted == 2
            [failed] = [each for each in await deployment.events() if each.kind == "operation.failed"]
            assert "metrics" in failed.text
            await deployment.flows_go_on()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_killed_in_a_view_change_and_comes_back_twice(directory: Path) -> None:
    async with mortal(directory) as deployment, deployment.sending():
        victim, stopped, _ = (await deployment.status()).instances
        # A survivor that is stopped keeps the view change from its end, as long as it takes.
        os.kill(stopped.process, signal.SIGSTOP)
        try:
            dying = asyncio.create_task(deployment.until_event("view.completed"))
            watching = asyncio.create_task(killed_when(deployment, "SELECT * FROM view", dying))
            deployment.kill(victim.process)
            assert await watching
            [(number,)] = deployment.read_store("SELECT number FROM view")
            await deployment.good("up", str(deployment.file))
            await deployment.kill_controller()
            await deployment.good("up", str(deployment.file))
        finally:
            os.kill(stopped.process, signal.SIGCONT)
        completed = await deployment.until_event("view.completed")
        assert completed.subject == str(number)
        whole = await deployment.until_whole(3)
        assert whole.term == 3
        async with deployment.client() as client:
            [told] = await client.deaths()
        assert [each.name for each in told.instances] == [victim.name]
        await deployment.flows_go_on()


@pytest.mark.long
@pytest.mark.timeout(240)
async def test_an_instance_dies_while_the_controller_is_away(directory: Path) -> None:
    async with mortal(directory) as deployment, deployment.sending():
        victim = await deployment.instance(0)
        await deployment.kill_controller()
        deployment.kill(victim.process)
        await deployment.good("up", str(deployment.file))
        await deployment.until_event("view.completed")
        await deployment.until_whole(3)
        await deployment.flows_go_on()


@pytest.mark.timeout(240)
async def test_an_instance_dies_while_the_controller_is_away_in_the_middle_of_a_plan(directory: Path) -> None:
    async with mortal(directory) as deployment, deployment.sending():
        victim = await deployment.instance(0)
        await killed_while_scaling(deployment, "SELECT * FROM plan WHERE stage = 2", 2)
        deployment.kill(victim.process)
        await deployment.good("up", str(deployment.file))
        await deployment.until_event("view.completed")
        await deployment.until_whole(2)
        await deployment.flows_go_on()


def copy_store(store: Path, copy: Path) -> None:
    """As it is, with what lies in the journal."""
    with contextlib.closing(sqlite3.connect(store)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def put_store(copy: Path, store: Path) -> None:
    """In place of what is there."""
    for path in store.parent.glob(f"{store.name}*"):
        path.unlink()
    shutil.copy(copy, store)


@pytest.mark.timeout(240)
async def test_a_copy_of_an_old_store_is_refused_and_nothing_is_commanded(directory: Path) -> None:
    async with mortal(directory, count=2) as deployment:
        store = deployment.directory.store
        copies = {"old": directory / "old.db", "genuine": directory / "genuine.db", "none": directory / "none.db"}
        copy_store(store, copies["old"])
        await deployment.good("scale", "nat", "3")
        before = await deployment.until_whole(3)
        await deployment.kill_controller()
        copy_store(store, copies["genuine"])
        sqlite3.connect(copies["none"]).close()

        for name in ("old", "none"):
            put_store(copies[name], store)
            status, _, errors = await deployment.command("up", str(deployment.file))
            assert status == 3
            assert "old copy" in errors
        put_store(copies["genuine"], store)
        await deployment.good("up", str(deployment.file))
        after = await deployment.until_whole(3)
        assert [each.process for each in after.instances] == [each.process for each in before.instances]


@pytest.mark.timeout(240)
async def test_of_two_controllers_the_older_one_ends(directory: Path) -> None:
    """The second one has the same store under another path, where the first one's lock does not keep it out: what the
    first one commands is refused from then on."""
    async with mortal(directory, count=2) as deployment:
        other = directory / "other"
        other.mkdir(mode=0o700)
        for name in ("state.db", "instances", "splitter"):
            (other / name).symlink_to(deployment.directory.path / name)
        older = ProcessIdentity.of((await deployment.status()).process)
        assert older is not None
        newer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shoal.controller", str(other), "--listen", "127.0.0.1:7299"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(30):
                while not deployment.read_store("SELECT * FROM reign WHERE term = 2"):
                    await asyncio.sleep(0.01)
            status, _, errors = await deployment.command("scale", "nat", "3")
            assert status != 0
            assert "term 1 is over" in errors
            async with asyncio.timeout(10):
                while older.lives:
                    await asyncio.sleep(0.01)
            assert newer.returncode is None
        finally:
            with contextlib.suppress(ProcessLookupError):
                newer.kill()
            await newer.wait()
        await deployment.good("up", str(deployment.file))
        await deployment.good("scale", "nat", "3")
        await deployment.until_whole(3)
