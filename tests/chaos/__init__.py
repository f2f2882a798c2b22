# SPDX-License-Identifier: BSD-3-Clause
"""Real processes, real traffic, real TCP connections; and random kills, stops and scaling."""
