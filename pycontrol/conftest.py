# SPDX-License-Identifier: BSD-3-Clause
"""Tests run against the installed packages, which hold what the build makes (the extension, the protobuf modules).
Those are imported here, before pytest looks for a test file's parents: only the tests come from the source tree."""

import importlib
import pkgutil

import shoal
import shoal_dataplane

for package in (shoal, shoal_dataplane):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.ispkg:
            importlib.import_module(module.name)
