# SPDX-License-Identifier: BSD-3-Clause
"""Whether what a NAT sent is what it should have sent, judged from packet captures alone.

This package imports nothing else of Shoal, neither bindings nor control plane, and parses frames itself: it must not
share a mistake with what it judges. Read it in the order of the work: `capture` (pcap files), `frame` (one frame, and
what no NAT may change of it), `run` (the captures of one run), `matching` (which output came of which input),
`allocation` (what the NAT gave to whom), `translation` (the rules for one run), `equivalence` (one run against
another), `report`, `main`.
"""
