# SPDX-License-Identifier: BSD-3-Clause
"""The checker shares nothing with what it judges: it imports the standard library and itself."""

import ast
import sys
from pathlib import Path

import shoal.verify


def test_imports_standard_library_and_itself_only() -> None:
    (folder,) = shoal.verify.__path__
    files = [path for path in Path(folder).glob("*.py") if not path.name.startswith(("test_", "conftest"))]
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                first = [node.module or "."] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
                for name in first:
                    allowed = name == "shoal.verify" or name.startswith("shoal.verify.")
                    assert allowed or name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"
