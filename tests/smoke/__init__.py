# SPDX-License-Identifier: BSD-3-Clause
"""Real TCP of the kernel through real instances, in network namespaces. Each test file has its topology on top."""
