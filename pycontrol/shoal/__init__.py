# SPDX-License-Identifier: BSD-3-Clause
"""Shoal's control plane: controller, agents, command line."""
