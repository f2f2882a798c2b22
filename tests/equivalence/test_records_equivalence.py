# SPDX-License-Identifier: BSD-3-Clause
"""The same profile through one instance, and through a number that changes meanwhile; the generator's records judge.

generator (inside) → splitter ⇄ rings ⇄ instances → splitter → generator (outside), which answers
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.test_deployment import SHOAL, Shell, shell

__all__ = ["shell"]

ROOT = Path(__file__).parents[2]
PROFILE = str(ROOT / "trex_profiles" / "nat_churn.py")
# Every packet is answered: which of several in a flow would be depends on when it came.
OPTIONS = ("--duration", "5", "--respond-every", "1", "--json")
TUNABLES = ("--", "--flows", "2000", "--pps", "6000", "--new-flows", "200")


@pytest.fixture
def config() -> str:
    return (ROOT / "deploy" / "examples" / "generator.yaml").read_text()


@pytest.mark.timeout(180)
async def test_records_of_one_and_of_many_agree(shell: Shell) -> None:
    one, many = shell.folder / "one.json", shell.folder / "many.json"
    await asyncio.to_thread(send, shell, one)
    await asyncio.to_thread(shell.good, "scale", "nat", "4")
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(asyncio.to_thread(send, shell, many), name="traffic")
        scaled = 0
        for count in (2, 1, 3, 2, 4, 1):
            if not sending.done():
                await asyncio.to_thread(shell.good, "scale", "nat", str(count))
                scaled += not sending.done()
    assert scaled >= 1
    shell.good("verify", "record", str(one))
    shell.good("verify", "records", str(one), str(many))


def send(shell: Shell, record: Path) -> None:
    """Lets the profile run to its end, and keeps the generator's record."""
    command = [SHOAL, "traffic", "run", PROFILE, *OPTIONS, *TUNABLES]
    done = subprocess.run(command, env=os.environ | shell.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout[:400]}\n{done.stderr}"
    record.write_text(done.stdout)
