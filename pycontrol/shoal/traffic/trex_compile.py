# SPDX-License-Identifier: BSD-3-Clause
"""Compiles a TRex STL profile. Runs as a script in the environment that holds TRex's client, and in no other: Shoal
never imports it (the client replaces scapy and yaml in its process, and is GPL through the scapy that it bundles).

One JSON object on standard input: {"profile": file, "tunables": [...], "ports": [{"nf_port": 0, "direction": 0}],
"trex_home": folder or null}. On standard output: {"client": ..., "ports": [{"nf_port", "direction", "streams"}]}, or
{"error": sentence}.
"""

import contextlib
import importlib
import io
import json
import sys
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

CLIENT = "lbr_trex_client"


def load_client(trex_home: str | None) -> tuple[Any, str]:
    """The client's API module, and what to call it; of a TRex installation's own where a folder is given."""
    if trex_home:
        interactive = Path(trex_home) / "automation" / "trex_control_plane" / "interactive"
        if not interactive.is_dir():
            raise ValueError(f"{trex_home} holds no TRex: {interactive} is not there")
        sys.path.insert(0, str(interactive))
        return importlib.import_module("trex_stl_lib.api"), trex_home
    importlib.import_module(CLIENT)
    return importlib.import_module("trex_stl_lib.api"), f"{CLIENT} {metadata.version(CLIENT)}"


class TunablesError(Exception):
    """The profile did not understand its tunables, or was asked for help about them."""


def resolve_next(streams: list[dict[str, Any]]) -> None:
    """Adds to each stream the index, in this list, of the one that follows it; -1 for none."""
    indices: dict[str, int] = {}
    for index, stream in enumerate(streams):
        name = stream.get("name")
        if name and name in indices:
            raise ValueError(f"two streams are named '{name}'")
        if name:
            indices[name] = index
    for index, stream in enumerate(streams):
        follower = stream.get("next")
        if follower and follower not in indices:
            raise ValueError(f"stream {stream.get('name') or index}: its next stream '{follower}' does not exist")
        stream["next_stream_id"] = indices[follower] if follower else -1


def compile_port(api: Any, request: dict[str, Any], port: dict[str, int]) -> dict[str, Any]:
    profile = api.STLProfile.load(
        request["profile"], direction=port["direction"], port_id=port["nf_port"], tunables=request["tunables"]
    )
    if profile is None:  # argparse, in the profile, has ended it: the client hides that
        raise TunablesError
    streams = profile.to_json()
    resolve_next(streams)
    return {"nf_port": port["nf_port"], "direction": port["direction"], "streams": streams}


def compile_profile(request: dict[str, Any]) -> dict[str, Any]:
    api, client = load_client(request.get("trex_home"))
    return {"client": client, "ports": [compile_port(api, request, port) for port in request["ports"]]}


def reason(error: BaseException) -> str:
    """The client wraps what a profile raises, trace and all: its last line says what it was."""
    text = str(getattr(error, "msg", None) or error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def main() -> None:
    request = json.load(sys.stdin)
    answer: dict[str, Any]
    said = io.StringIO()  # what is printed must not come between
    try:
        with contextlib.redirect_stdout(said):
            answer = compile_profile(request)
    except (TunablesError, SystemExit):
        answer = {"error": said.getvalue().strip() or "its tunables were not understood"}
    except BaseException as error:
        traceback.print_exc()
        answer = {"error": reason(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
