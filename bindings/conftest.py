# SPDX-License-Identifier: BSD-3-Clause
"""Tests run against the installed package, which holds the extension; only the test files come from the source tree."""

import shoal_dataplane

__all__ = ["shoal_dataplane"]
