# SPDX-License-Identifier: BSD-3-Clause
"""dso.md, case 24: no pointer ever travels. With addresses randomised, processes of one seed send the same bytes.

check_addresses.py SIMULATOR FIRST COUNT
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROCESSES = 3


def main() -> int:
    simulator, first, count = sys.argv[1:4]
    if Path("/proc/sys/kernel/randomize_va_space").read_text().strip() == "0":
        print("addresses are not randomised here: this can't tell anything")
        return 1
    command = [simulator, "--seeds", first, count, "--digest"]
    answers = {subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(PROCESSES)}
    print("\n".join(sorted(answers)))
    return 0 if len(answers) == 1 and "digest" in answers.pop() else 1


if __name__ == "__main__":
    sys.exit(main())
