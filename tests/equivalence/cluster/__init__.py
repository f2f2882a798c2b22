# SPDX-License-Identifier: BSD-3-Clause
"""Output equivalence in one thread and made-up time, many seeds: every kind of packet that a NAT translates or refuses,
in both directions, while instances join and leave and mappings expire."""
