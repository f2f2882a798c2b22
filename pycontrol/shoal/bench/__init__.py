# SPDX-License-Identifier: BSD-3-Clause
"""Benchmarks: runs the programs of bench/ several times; medians, tables, pictures and comparisons of them."""
