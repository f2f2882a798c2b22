# SPDX-License-Identifier: BSD-3-Clause
"""Protocol buffers of package shoal.v1: the .proto files, and the modules that the build makes of them."""
