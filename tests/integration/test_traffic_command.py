# SPDX-License-Identifier: BSD-3-Clause
"""`shoal traffic`: a profile through a NAT that scales meanwhile, from the command line.

generator (inside) → splitter ⇄ rings ⇄ instances → splitter → generator (outside), which answers
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_deployment import SHOAL, Shell, shell

__all__ = ["shell"]

ROOT = Path(__file__).parents[2]
PROFILE = str(ROOT / "trex_profiles" / "nat_churn.py")
TUNABLES = ("--", "--flows", "2000", "--pps", "20000", "--new-flows", "200")


@pytest.fixture
def config() -> str:
    return (ROOT / "deploy" / "examples" / "generator.yaml").read_text()


@asynccontextmanager
async def sending(shell: Shell) -> AsyncIterator[asyncio.subprocess.Process]:
    """`shoal traffic run`, whose packets are under way."""
    words = ("traffic", "run", PROFILE, "--respond-every", "5", "--json", *TUNABLES)
    process = await asyncio.create_subprocess_exec(
        SHOAL, *words, env=os.environ | shell.environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            while (await asyncio.to_thread(shell.command, "traffic", "show")).returncode != 0:
                await asyncio.sleep(0.1)
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def report_of(process: asyncio.subprocess.Process, number: signal.Signals) -> Any:
    process.send_signal(number)
    output, _ = await process.communicate()
    document = json.loads(output)
    assert document["faults"] == []
    assert process.returncode == 0
    return document


@pytest.mark.timeout(180)
async def test_traffic_survives_scaling_and_ctrl_c_reports(shell: Shell) -> None:
    async with sending(shell) as process:
        for count in (2, 3, 1):
            await asyncio.to_thread(shell.good, "scale", "nat", str(count))
        document = await report_of(process, signal.SIGINT)
    figures = document["shoal"]
    assert figures["sent"] == figures["received"] > 20000
    assert figures["responses_sent"] > 0
    moved = [int(event["fields"]["objects_moved"]) for event in shell.events() if event["kind"] == "plan.completed"]
    assert min(moved[1:]) > 1000
    shown = json.loads(shell.good("traffic", "show", "--json"))
    assert (shown["running"], shown["shoal"]["sent"]) == (False, figures["sent"])


@pytest.mark.timeout(180)
async def test_sigterm_stops_the_traffic_too(shell: Shell) -> None:
    async with sending(shell) as process:
        document = await report_of(process, signal.SIGTERM)
    shown = json.loads(shell.good("traffic", "show", "--json"))
    assert (shown["running"], shown["shoal"]["sent"]) == (False, document["shoal"]["sent"])


@pytest.mark.timeout(180)
def test_an_option_that_cannot_be_is_refused(shell: Shell) -> None:
    result = shell.command("traffic", "run", PROFILE, "-m", "fast", *TUNABLES)
    assert result.returncode == 2
    assert "'fast' is not like 2, 10kpps" in result.stderr
    assert shell.command("traffic", "show").returncode == 6


def test_a_pcap_file_needs_no_controller(tmp_path: Path) -> None:
    file = tmp_path / "x.pcap"
    words = [SHOAL, "-d", str(tmp_path / "nobody"), "traffic", "run", PROFILE, "--pcap", str(file), "--packets", "50"]
    answer = subprocess.run([*words, "--json"], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(answer.stdout) == {"file": str(file), "packets": 50}
    data, offset, count = file.read_bytes(), 24, 0
    while offset < len(data):
        offset += 16 + struct.unpack_from("<I", data, offset + 8)[0]
        count += 1
    assert (count, offset) == (50, len(data))
