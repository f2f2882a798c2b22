# SPDX-License-Identifier: BSD-3-Clause
"""What a network function's shared object tells of itself: its ports, and its object classes with their fields."""
