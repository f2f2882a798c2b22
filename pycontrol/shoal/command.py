# SPDX-License-Identifier: BSD-3-Clause
"""The command's first lines: Ctrl-C ends it without a traceback from its first moment on, while it still loads."""

from typing import Final

EXIT_INTERRUPTED: Final = 130


def main() -> None:
    try:
        from shoal.cli.main import app

        app()
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
