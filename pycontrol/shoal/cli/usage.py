# SPDX-License-Identifier: BSD-3-Clause
"""A command line that is wrong, told as JSON where `--json` is on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup

from shoal.cli.console import print_json

# Typer's own, or click's, by its version.
_USAGE_ERROR: Final = typer.BadParameter.__mro__[1]
_FLAG: Final = "--json"
_WORDS: Final = "shoal.words"


class Verbs(TyperGroup):
    """All verbs: whatever is wrong with their words passes through here."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        words = tuple(args)
        with _told_as_json(words):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[_WORDS] = words
        return context

    def invoke(self, ctx: Any) -> Any:
        with _told_as_json(ctx.meta[_WORDS]):
            return super().invoke(ctx)


@contextmanager
def _told_as_json(words: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not isinstance(error, _USAGE_ERROR):
            raise
        usage = cast("typer.BadParameter", error)
        if not _asks_for_json(words, usage.ctx):
            raise
        print_json({"error": usage.format_message(), "exit_code": usage.exit_code})
        raise typer.Exit(usage.exit_code) from None


def _asks_for_json(words: Sequence[str], context: Any) -> bool:
    """Of demo and bench, `--json` takes a file, and the rest is text."""
    parameters = context.command.params if context is not None else ()
    takes_file = any(_FLAG in parameter.opts and not parameter.is_flag for parameter in parameters)
    before = words[: words.index("--")] if "--" in words else words
    return _FLAG in before and not takes_file
