# SPDX-License-Identifier: BSD-3-Clause
"""`python -m shoal.verify`."""

import sys

from shoal.verify.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
