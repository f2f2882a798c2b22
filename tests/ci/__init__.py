# SPDX-License-Identifier: BSD-3-Clause
"""What `make test` and `make lint` run. Uses the standard library alone, so that it also runs before setup."""
