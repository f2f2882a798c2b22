# SPDX-License-Identifier: BSD-3-Clause
"""A deployment from the command line: real controller, splitter and instances; packets come from a pcap file.

pcap file → inside [splitter] ⇄ rings ⇄ instances … [splitter] outside → pcap file
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess, run
from typing import Any

import pytest

from shoal import slabs
from shoal.client import connected
from shoal.errors import RefusedError
from shoal.run_directory import RunDirectory

SHOAL = str(Path(sys.executable).with_name("shoal"))
HOSTS, FLOWS = 64, 512
CONFIG = """\
network_function:
  name: nat
  settings: { public_addresses: 192.0.2.1-192.0.2.4, inside_prefixes: 10.0.0.0/8 }
ports:
  inside: { device: "net_pcap0,rx_pcap=FOLDER/in.pcap,infinite_rx=1,tx_pcap=/dev/null" }
  outside: { device: "net_pcap1,rx_pcap=FOLDER/none.pcap,tx_pcap=/dev/null" }
instances: { count: 1, objects: 65536, packets: 24576, parked: 8192 }
splitter: { packets: 24576, parked: 8192 }
"""


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(flow: int) -> bytes:
    source = bytes([10, 0, 0, 1 + flow % HOSTS])
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 46, 0, 0, 64, 17, 0, source, bytes([198, 51, 100, 1]))
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return bytes(12) + b"\x08\x00" + header + struct.pack("!HHHH", 2000 + flow // HOSTS, 53, 26, 0) + bytes(18)


def write_pcap(path: Path, frames: list[bytes]) -> None:
    """Classic pcap, Ethernet."""
    records = (struct.pack("<IIII", 0, 0, len(each), len(each)) + each for each in frames)
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))


class Shell:
    """Commands to one deployment."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        self.folder = folder
        self.directory = folder / "run"
        self.file = folder / "nat.yaml"
        write_pcap(folder / "in.pcap", [frame(flow) for flow in range(FLOWS)])
        write_pcap(folder / "none.pcap", [])
        self.file.write_text(config.replace("FOLDER", str(folder)))

    @property
    def environment(self) -> dict[str, str]:
        return {"SHOAL_RUN_DIRECTORY": str(self.directory), "NO_COLOR": "1", "COLUMNS": "160"}

    def command(self, *words: str) -> CompletedProcess[str]:
        return run(
            [SHOAL, *words], env=os.environ | self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def good(self, *words: str) -> str:
        result = self.command(*words)
        assert result.returncode == 0, f"{' '.join(words)}: {result.stdout}{result.stderr}{self.logs()}"
        return result.stdout

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.good("status", "--json"))
        return found

    def instances(self) -> dict[str, dict[str, Any]]:
        return {instance["name"]: instance for instance in self.status()["instances"]}

    def objects(self, class_name: str) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in self.good("state", "list", class_name, "--limit", "0", "--json").splitlines()
        ]

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.good("events", "--no-follow", "--json").splitlines()]

    def slabs(self) -> list[Path]:
        """Where the instances' slabs may lie."""
        instances = [RunDirectory(self.directory).instance(f"nat-{number}").path for number in range(1, 9)]
        lives = range(1, 17)
        found = [path for instance in instances for life in lives for path in slabs.candidates(instance, life)]
        return [path for path in found if path.exists()]

    def logs(self) -> str:
        return "".join(f"\n--- {path}\n{path.read_text()[-2000:]}" for path in sorted(self.directory.rglob("log")))


def until(true: Callable[[], object], what: str) -> None:
    """Waits for an observation, with a deadline."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, f"not within 20 s: {what}"


def processes_naming(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


@pytest.fixture
def config() -> str:
    """The deployment's file; FOLDER stands for its folder. Other modules have one of their own."""
    return CONFIG


@pytest.fixture
def shell(config: str) -> Iterator[Shell]:
    """A deployment that is up, and down afterwards, whatever the test did to it."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    made = Shell(folder, config)
    try:
        made.good("up", str(made.file))
        yield made
    finally:
        made.good("down")
        left = processes_naming(folder)
        there = [path for path in (made.directory, *made.slabs()) if path.exists()]
        shutil.rmtree(folder)
    assert not left
    assert not there


@pytest.mark.timeout(180)
def test_slots_and_state_move_with_each_scaling_and_nothing_is_lost(shell: Shell) -> None:
    until(lambda: len(shell.objects("nat.mapping")) == FLOWS, "a mapping for each flow")
    before = {json.dumps(each["key"]): each["object"]["translation"] for each in shell.objects("nat.mapping")}

    shell.good("scale", "nat", "3")
    slots = [instance["steering_slots"] for instance in shell.instances().values()]
    assert sorted(slots) == [85, 85, 86]
    assert sum(instance["tokens"] for instance in shell.instances().values()) == 16384

    shell.good("remove", "nat-1")
    held = {name: instance["objects"] for name, instance in shell.instances().items()}  # used since, or not
    assert set(held) == {"nat-2", "nat-3"}
    assert sum(len(shell.objects(f"nat.{each}")) for each in ("mapping", "reverse", "pool")) == sum(held.values())
    after = {json.dumps(each["key"]): each["object"]["translation"] for each in shell.objects("nat.mapping")}
    assert after == before
    assert {each["told_by"] for each in shell.objects("nat.mapping")} <= {"nat-2", "nat-3"}

    [known] = json.loads(shell.good("state", "get", "nat.mapping", "10.0.0.1:2000/udp", "--json"))[:1]
    assert known["key"] == {"address": "10.0.0.1", "port": 2000, "protocol": "udp"}

    plans = [event for event in shell.events() if event["kind"] == "plan.completed"]
    assert [event["fields"]["kind"] for event in plans] == ["first", "scale_out", "scale_in"]
    assert int(plans[2]["fields"]["objects_moved"]) >= FLOWS


@pytest.mark.timeout(180)
def test_a_drained_instance_holds_nothing_and_stays_until_removed(shell: Shell) -> None:
    until(lambda: len(shell.objects("nat.mapping")) == FLOWS, "a mapping for each flow")
    shell.good("scale", "nat", "2")
    shell.good("drain", "nat-1")
    drained = shell.instances()["nat-1"]
    assert [drained[each] for each in ("state", "steering_slots", "tokens", "objects")] == ["drained", 0, 0, 0]
    assert len(shell.objects("nat.mapping")) == FLOWS
    refused = shell.command("drain", "nat-2")
    assert (refused.returncode, "the last one" in refused.stderr) == (6, True)
    shell.good("remove", "nat-1")
    assert set(shell.instances()) == {"nat-2"}


@pytest.mark.timeout(180)
def test_one_that_is_drained_takes_nobody_that_lives_for_dead(shell: Shell) -> None:
    """Its channels go with a goodbye: those to lower numbers, which it serves, and those to higher ones, which serve
    it."""
    shell.good("scale", "nat", "3")
    shell.good("drain", "nat-2")
    log = RunDirectory(shell.directory).instance("nat-2").log.read_text()
    assert [event for event in shell.events() if event["kind"] == "peer.ended"] == []
    assert "process ended" not in log
    shell.good("remove", "nat-2")
    assert [event for event in shell.events() if event["kind"] == "peer.ended"] == []


@pytest.mark.timeout(180)
def test_a_killed_controller_is_replaced_and_takes_the_instances_up(shell: Shell) -> None:
    before = shell.status()
    os.kill(before["process"], signal.SIGKILL)
    until(lambda: shell.command("status").returncode == 3, "no controller answers")
    assert ProcessState(before["instances"][0]["process"]).lives
    assert "already" in shell.good("up", str(shell.file))
    after = shell.status()
    assert after["term"] == before["term"] + 1
    assert after["instances"][0]["process"] == before["instances"][0]["process"]
    assert after["instances"][0]["life"] == before["instances"][0]["life"]
    shell.good("scale", "nat", "2")
    assert {instance["life"] for instance in shell.instances().values()} == {1, 2}


class ProcessState:
    def __init__(self, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/stat")

    @property
    def lives(self) -> bool:
        return self._stat.exists() and self._stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.timeout(180)
def test_slabs_lie_where_the_instance_says_while_it_runs(shell: Shell) -> None:
    """The fixture checks that they are gone afterwards."""
    link = slabs.link(RunDirectory(shell.directory).instance("nat-1").path)
    assert shell.slabs() == [link.readlink()]
    assert link.readlink().stat().st_mode & 0o777 == 0o700
    assert any(link.readlink().glob("nat.mapping.slab"))


def sockets_of(pid: int) -> dict[int, str]:
    """Names of the Unix sockets that a process has, by inode; those in the abstract space begin with @."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        name = str(path.readlink()) if path.is_symlink() else ""
        if name.startswith("socket:["):
            inodes.add(int(name[8:-1]))
    rows = (row.split() for row in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:])
    return {int(row[6]): row[7] for row in rows if len(row) > 7 and int(row[6]) in inodes}


@pytest.mark.timeout(180)
def test_sockets_memory_and_directories_are_their_users_alone(shell: Shell) -> None:
    shell.good("scale", "nat", "2")
    status = shell.status()
    pids = [status["process"], status["splitter_process"], *(each["process"] for each in status["instances"])]
    names = [name for pid in pids for name in sockets_of(pid).values()]
    # The abstract ones are only held, never listened at: by them a device is one port's.
    there = [Path(name) for name in names if not name.startswith("@shoal port ")]
    kinds = {str(path.relative_to(shell.directory)).replace("nat-1", "N").replace("nat-2", "N") for path in there}
    assert kinds == {"grpc.socket", "splitter/grpc.socket", "splitter/peers.socket"} | {
        f"instances/N/{kind}.socket" for kind in ("grpc", "peers")
    }
    for path in there:
        assert path.stat().st_mode & 0o777 == 0o600, path
        assert path.parent.stat().st_mode & 0o777 == 0o700, path.parent
    for path in shell.directory.rglob("*"):
        assert path.lstat().st_mode & 0o077 == 0 or path.is_symlink(), path

    rings = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/fd").iterdir():
            if "memfd:shoal-rings" in str(path.readlink()):
                with path.open("rb") as ring:
                    seals = fcntl.fcntl(ring, fcntl.F_GET_SEALS)
                assert seals == fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
                rings += 1
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        rings += sum("memfd:shoal-rings" in row for row in maps)
        assert not [row for row in maps if "memfd:shoal-rings" in row and "x" in row.split()[1]]
    assert rings > 0


@pytest.mark.timeout(180)
def test_without_controller_down_ends_what_the_pid_files_name(shell: Shell) -> None:
    status = shell.status()
    os.kill(status["process"], signal.SIGKILL)
    until(lambda: not ProcessState(status["process"]).lives, "the controller ends")
    assert "2 processes ended" in shell.good("down")
    assert not processes_naming(shell.directory)


def test_a_bad_file_is_refused_with_all_its_faults_and_leaves_nothing() -> None:
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    try:
        made = Shell(folder)
        made.file.write_text(made.file.read_text().replace("count: 1", "count: 0").replace("inside:", "middle:", 1))
        result = made.command("up", str(made.file))
        assert result.returncode == 4
        assert f"{made.file}:7: instances.count: " in result.stderr
        made.file.write_text(CONFIG.replace("FOLDER", str(folder)).replace("  inside:", "  middle:"))
        result = made.command("up", str(made.file), "--json")
        assert result.returncode == 4
        faults = json.loads(result.stdout)["faults"]
        assert [(fault["line"], fault["field"]) for fault in faults] == [(4, "ports"), (5, "ports.middle")]
        assert not made.directory.exists()
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("moment", ["instances", "pid", "grpc.socket", "splitter/pid", "splitter/eal"])
async def test_ctrl_c_while_it_starts_leaves_nothing(moment: str) -> None:
    """From the first trace of a controller on; and a second signal while the first is being obeyed."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    try:
        made = Shell(folder)
        environment = os.environ | {"SHOAL_RUN_DIRECTORY": str(made.directory)}
        process = await asyncio.create_subprocess_exec(
            SHOAL, "up", str(made.file), env=environment, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            while not (made.directory / moment).exists():
                await asyncio.sleep(0.001)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)
            _, said = await process.communicate()
        assert process.returncode == 130
        assert b"Traceback" not in said
        assert not processes_naming(made.directory)
        assert not made.directory.exists()
    finally:
        shutil.rmtree(folder)


@pytest.mark.timeout(120)
async def test_an_up_that_is_refused_leaves_anothers_deployment(shell: Shell) -> None:
    """One starts the controller, with a file that fails late; another's deployment is there when it gives up."""
    shell.good("down")
    other = shell.folder / "other.yaml"
    other.write_text(shell.file.read_text().replace("count: 1", "count: 2"))
    environment = os.environ | shell.environment
    files = (shell.file, other)
    both = [await asyncio.create_subprocess_exec(SHOAL, "up", str(file), env=environment) for file in files]
    codes = [await process.wait() for process in both]
    assert sorted(codes) == [0, 6]
    winner = codes.index(0)
    assert len(shell.instances()) == (1, 2)[winner]
    # The one that failed may have started the controller; it leaves it to the other.
    assert shell.command("up", str(files[1 - winner])).returncode == 6
    assert len(shell.instances()) == (1, 2)[winner]


def test_down_of_a_caller_ends_only_what_that_caller_deployed(shell: Shell) -> None:
    async def down() -> None:
        async with connected(RunDirectory(shell.directory).controller.address) as client:
            async for _ in client.down("somebody else"):
                pass

    with pytest.raises(RefusedError, match="deployed by another"):
        asyncio.run(down())
    assert len(shell.instances()) == 1


def test_more_instances_than_there_are_numbers_are_a_limit(shell: Shell) -> None:
    answer = shell.command("scale", "nat", "65")
    assert answer.returncode == 6
    assert "at most 64 instances: 65 asked for, 1 instance there" in answer.stderr


def test_a_metrics_port_in_use_is_told() -> None:
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for first in (port, port - 1):  # the controller's own, the splitter's
                made = Shell(folder, CONFIG + f'metrics: {{ address: "127.0.0.1:{first}" }}\n')
                answer = made.command("up", str(made.file))
                assert answer.returncode == 6
                assert f"can't serve metrics on 127.0.0.1:{port}: Address already in use" in answer.stderr
                assert not made.directory.exists()
    finally:
        shutil.rmtree(folder)
