# SPDX-License-Identifier: BSD-3-Clause
"""`shoal demo` as a user runs it, only shorter."""
