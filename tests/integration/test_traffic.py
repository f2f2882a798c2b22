# SPDX-License-Identifier: BSD-3-Clause
"""A TRex profile through a real NAT: generator and splitter on one thread, an instance on another, all in one process.

generator (inside) → splitter → packet ring → NAT → packet ring → splitter → generator (outside), which answers
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from importlib.resources import files
from pathlib import Path

import pytest

PROFILES = Path(__file__).parents[2] / "trex_profiles"

# EAL can be started once in a process: so in one of its own.
PROGRAM = textwrap.dedent(
    """
    import asyncio, json, sys, time
    from contextlib import ExitStack
    from pathlib import Path
    from shoal.traffic import INSIDE, BuiltinBackend, TrafficSession, compile_profile
    from shoal_dataplane import (Eal, Generator, GeneratorConfig, Instance, InstanceConfig, Plan, Runner, RunnerConfig,
                                 Splitter, SplitterConfig)
    from shoal_dataplane.plan import Stage, no_owner

    nf, profile, prefix = sys.argv[1:4]
    tunables, options = json.loads(sys.argv[4]), json.loads(sys.argv[5])
    settings = {"public_addresses": "198.51.100.1-198.51.100.64", "inside_prefixes": "16.0.0.0/8"}
    life = 7

    def wait_for(condition, seconds):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, f"not within {seconds} s"
            time.sleep(0.02)

    streams = asyncio.run(compile_profile(Path(profile), (INSIDE,), tunables))
    with ExitStack() as stack:
        stack.enter_context(Eal(["test", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--no-shconf",
                                 "--file-prefix", prefix]))
        generator = stack.enter_context(Generator(GeneratorConfig("test", packets=8191)))
        splitter = stack.enter_context(Splitter(SplitterConfig("splitter", nf, 16384, 4096, 1024, 1 << 20)))
        instance = stack.enter_context(Instance(InstanceConfig("nat", "", nf, 0, life, 1, 1, 65536, 1024, 256, 256,
                                                               16384, 1000)))
        for component in (splitter, instance):
            for name, value in settings.items():
                component.set(name, value)
            component.init_nf()
        for port in (0, 1):
            splitter.attach_generator(port, generator)
        runners = [stack.enter_context(Runner(RunnerConfig(name))) for name in ("splitter", "nat")]
        splitter.run_on(runners[0])
        instance.run_on(runners[1])
        instance.attach_packet_ring(splitter.attach_member(0))
        for runner in runners:
            runner.start()
            stack.callback(runner.stop)
        instance.learn(Plan(1, 0, 1, no_owner(), bytes(len(no_owner())), {}, {0: life}))
        instance.hand_over(1, 1)
        wait_for(lambda: instance.progress().stage is Stage.DONE, 10)
        instance.forget(1, 1)
        splitter.set_table(bytes(256))
        session = TrafficSession(BuiltinBackend(generator))
        session.start("profile", streams, options)
        wait_for(lambda: not session.read().running, 60)
        wait_for(lambda: session.read().document.shoal.lost == 0, 2)
        session.stop()
        document = session.read().document
        print(document.to_json())
        print(json.dumps(document.faults()))
    """
)


def run_profile(profile: str, tunables: str, options: str) -> tuple[str, str]:
    """The document and the faults, both as JSON."""
    nf = str(files("shoal") / "nfs" / "libshoal_nf_nat.so")
    prefix = f"shoal-traffic-{os.getpid()}"
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, nf, str(PROFILES / profile), prefix, tunables, options],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    document, faults = answer.stdout.strip().splitlines()[-2:]
    return document, faults


@pytest.mark.timeout(120)
def test_a_profile_goes_through_a_nat_and_back() -> None:
    document, faults = run_profile(
        "nat_churn.py",
        '["--flows", "1000", "--pps", "4000", "--new-flows", "200", "--life", "0.5", "--clients", "32"]',
        '{"duration": "2", "respond_every": "2"}',
    )
    shoal = json.loads(document)["shoal"]
    assert json.loads(faults) == []
    assert shoal["sent"] == shoal["received"] > 8000
    assert shoal["responses_sent"] > 2000
    assert shoal["mappings"]["checked"] == shoal["received"]
    assert 1395 <= shoal["flows"]["started"] <= 1401
    assert {stream["name"] for stream in shoal["streams"]} == {"staying", "new_0", "new_1", "new_2"}
