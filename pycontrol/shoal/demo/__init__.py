# SPDX-License-Identifier: BSD-3-Clause
"""`shoal demo`: a NAT scales from one instance to three and back, under traffic, while you watch."""
