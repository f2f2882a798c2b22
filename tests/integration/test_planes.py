# SPDX-License-Identifier: BSD-3-Clause
"""A deployment on the plane `remote`: its state lies in a real redis-server, and outlives the only instance."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_deployment import CONFIG, FLOWS, Shell, shell, until

__all__ = ["config", "shell"]

HEAD_BYTES = 24  # of a value: lock and last use


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
    known = shell.good("state", "get", "nat.mapping", "10.0.0.1:2000/udp")
    assert known.count("nat.mapping ") == 1
    assert "store, told by nat-" in known
    assert "198.51.100" not in known
    unknown = shell.command("state", "get", "nat.mapping", "10.0.0.1:9/udp")
    assert unknown.returncode
    assert "no instance knows of it" in unknown.stderr


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
