# SPDX-License-Identifier: BSD-3-Clause
"""Writes the C source of the extension `shoal_dataplane._native` from the data plane's public headers.

Run by the build: generate.py types.h dataplane.h OUTPUT. The headers are the only declarations; this script drops what
cffi has no use for (preprocessor, comments) and keeps each `#define NAME number` as a constant.
"""

import argparse
import re
from pathlib import Path

import cffi

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
CONSTANT = re.compile(r"^#define\s+(SHOAL_[A-Z0-9_]+)\s+(\d+)\s*$", re.MULTILINE)
DIRECTIVE = re.compile(r"^\s*#(?:[^\n]*\\\n)*[^\n]*$", re.MULTILINE)


def constants(header: str) -> str:
    """The integer constants of a header, as cffi declarations."""
    return "\n".join(f"#define {name} {value}" for name, value in CONSTANT.findall(header))


def declarations(header: str) -> str:
    """Types and functions of a header, without comments and directives."""
    return DIRECTIVE.sub("", COMMENT.sub("", header))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("types", type=Path)
    parser.add_argument("dataplane", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()

    header = arguments.dataplane.read_text()
    functions = declarations(header)
    builder = cffi.FFI()
    builder.cdef(constants(arguments.types.read_text() + "\n" + header) + "\n" + functions)
    builder.set_source("shoal_dataplane._native", "#include <shoal/dataplane.h>")
    builder.emit_c_code(str(arguments.output))


if __name__ == "__main__":
    main()
