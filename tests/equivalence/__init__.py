# SPDX-License-Identifier: BSD-3-Clause
"""What many instances did against what one did, judged by `shoal verify` from packet captures."""
