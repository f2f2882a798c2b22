# SPDX-License-Identifier: BSD-3-Clause
"""Run by the build: generate.py SOURCE_ROOT OUTPUT makes modules and stubs of shoal/proto/*.proto, flat in OUTPUT."""

import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc


def plugin(name: str) -> str:
    """Where a protoc plugin lies: beside this interpreter, or on the path."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: install mypy-protobuf")
    return f"--plugin={name}={found}"


def generate(source: Path, output: Path) -> int:
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    names = sorted(str(path.relative_to(source)) for path in (source / "shoal" / "proto").glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        status = protoc.main(
            [
                "protoc",
                f"-I{source}",
                f"-I{well_known}",
                plugin("protoc-gen-mypy"),
                plugin("protoc-gen-mypy_grpc"),
                *(f"--{kind}_out={folder}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")),
                *names,
            ]
        )
        for made in (Path(folder) / "shoal" / "proto").iterdir() if status == 0 else ():
            shutil.copy(made, output / made.name)
    return int(status)


if __name__ == "__main__":
    sys.exit(generate(Path(sys.argv[1]), Path(sys.argv[2])))
