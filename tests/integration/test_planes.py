# SPDX-License-Identifier: BSD-3-Clause
"""A deployment on the plane `remote`: its state lies in a real redis-server, and outlives the only instance."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.controller.instance_client import InstanceClient
from shoal.errors import DeadlineError, UnreachableError
from shoal.run_directory import RunDirectory
from tests.integration.test_deployment import CONFIG, FLOWS, Shell, shell, until

__all__ = ["config", "shell"]

HEAD_BYTES = 24  # of a value: lock and last use
KEY_BYTES = 8  # of a mapping
LOOKS = 20


class Server:
    """A redis-server on a Unix socket of its own, which keeps every write."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "socket"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder), "--save", ""]
        self._process = subprocess.Popen(
            ["redis-server", *options, "--appendonly", "yes", "--appendfsync", "everysec"], stdout=subprocess.DEVNULL
        )

    def ask(self, *words: str | bytes) -> bytes:
        return subprocess.run(
            ["redis-cli", "-s", str(self.socket), *words], capture_output=True, timeout=10, check=False
        ).stdout

    def count(self, pattern: str) -> int:
        return int(self.ask("EVAL", f"return #redis.call('KEYS', '{pattern}')", "0") or -1)

    def translations(self) -> bytes:
        """Of all mappings, without what each packet changes: address and port that each inside key has got."""
        script = f"""local keys, out = redis.call('KEYS', 'nat/nat.mapping/*'), {{}}
            table.sort(keys)
            for i, key in ipairs(keys) do
              out[i] = redis.sha1hex(key .. string.sub(redis.call('GET', key), {HEAD_BYTES + 1}, {HEAD_BYTES + 12}))
            end
            return table.concat(out, ' ')"""
        return self.ask("EVAL", script, "0")

    def stop(self) -> None:
        """It accepts, and does not answer."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="shoal-store-"))
    made = Server(folder)
    try:
        until(lambda: made.ask("PING").startswith(b"PONG"), "the server answers")
        yield made
    finally:
        made.end()
        shutil.rmtree(folder)


@pytest.fixture(params=["false", "true"], ids=["one_thread", "pipe"])
def config(server: Server, request: pytest.FixtureRequest) -> str:
    """Each instance with one thread, and with a second one that receives."""
    return CONFIG + f'plane: remote\nremote: {{ address: "unix:{server.socket}", pipe: {request.param} }}\n'


@pytest.mark.timeout(240)
def test_state_outlives_the_only_instance(shell: Shell, server: Server) -> None:
    until(lambda: server.count("nat/nat.reverse/*") == FLOWS, "a mapping for each flow")
    before = server.translations()
    first = shell.instances()["nat-1"]
    threads = {(task / "comm").read_text().strip() for task in Path(f"/proc/{first['process']}/task").glob("*")}
    assert ("receive-0" in threads) == ("pipe: true" in shell.file.read_text()), threads

    os.kill(first["process"], signal.SIGKILL)
    shell.good("down")
    assert server.translations() == before
    # From here on packets come once: without end they would come faster than a server on a busy machine bears.
    shell.file.write_text(shell.file.read_text().replace(",infinite_rx=1", ""))
    shell.good("up", str(shell.file))
    again = shell.instances()["nat-1"]
    assert again["process"] != first["process"]
    shell.good("scale", "nat", "2")
    assert len(shell.instances()) == 2
    moved = [event["fields"]["objects_moved"] for event in shell.events() if event["kind"] == "plan.completed"]
    assert set(moved) == {"0"}
    assert server.count("nat/nat.mapping/*") == FLOWS
    assert server.translations() == before
    mappings = shell.objects("nat.mapping")
    assert {each["place"] for each in mappings} == {"store"}
    assert len({json.dumps(each["key"]) for each in mappings}) == FLOWS
    assert len(shell.good("state", "list", "nat.mapping", "--limit", "5").splitlines()) == 6
    classes = {each["name"]: each for each in json.loads(shell.good("state", "classes", "--json"))}
    assert {name: (each["objects"], each["capacity"]) for name, each in classes.items()} == {
        "nat.mapping": (FLOWS, None),
        "nat.reverse": (FLOWS, None),
        "nat.pool": (server.count("nat/nat.pool/*"), None),
    }
    known = shell.good("state", "get", "nat.mapping", "10.0.0.1:2000/udp")
    assert known.count("nat.mapping ") == 1
    assert "store, told by nat-" in known
    assert "198.51.100" not in known
    unknown = shell.command("state", "get", "nat.mapping", "10.0.0.1:9/udp")
    assert unknown.returncode
    assert "no instance knows of it" in unknown.stderr


@pytest.mark.timeout(120)
async def test_a_store_that_hangs_keeps_nobody_from_the_instance(shell: Shell, server: Server) -> None:
    """Whoever looks at objects waits; the controller does not."""
    until(lambda: server.count("nat/nat.mapping/*") == FLOWS, "a mapping for each flow")
    client = InstanceClient("nat-1", RunDirectory(shell.directory).instance("nat-1").address, 0)
    server.stop()
    looks: list[asyncio.Task[object]] = [
        asyncio.create_task(client.state_get("nat.mapping", bytes(KEY_BYTES))) for _ in range(LOOKS)
    ]
    looks += [asyncio.create_task(client.state_count(0))]
    until_begun = asyncio.create_task(asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED))
    await asyncio.sleep(0)  # they are on their way before this one
    await client.progress()
    await client.classes()
    assert not until_begun.done()
    answers = await asyncio.gather(*looks, return_exceptions=True)
    assert all(isinstance(answer, UnreachableError | DeadlineError) for answer in answers), answers
    assert any("does not tell: no answer within" in str(answer) for answer in answers)
    classes = json.loads(await asyncio.to_thread(shell.good, "state", "classes", "--json"))
    assert {each["objects"] for each in classes} == {None}
    assert all("does not tell" in each["remark"] for each in classes)
    assert "unknown" in await asyncio.to_thread(shell.good, "state", "classes")
    server.go_on()
    classes = json.loads(await asyncio.to_thread(shell.good, "state", "classes", "--json"))
    assert classes[0]["objects"] == FLOWS
    await client.close()


@pytest.mark.timeout(120)
def test_without_a_server_nothing_starts() -> None:
    folder = Path(tempfile.mkdtemp(prefix="shoal-"))
    try:
        made = Shell(folder, CONFIG + 'plane: remote\nremote: { address: "unix:FOLDER/nobody" }\n')
        refused = made.command("up", str(made.file))
        assert refused.returncode
        assert "no Redis or Valkey server answers" in refused.stderr
        assert "start one there" in refused.stderr
        made.command("down")
    finally:
        shutil.rmtree(folder)
