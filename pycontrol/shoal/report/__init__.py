# SPDX-License-Identifier: BSD-3-Clause
"""What a run with scaling events showed: the document, the verdict, the picture, the table on the terminal."""
