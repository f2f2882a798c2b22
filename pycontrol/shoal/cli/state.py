# SPDX-License-Identifier: BSD-3-Clause
"""state classes, state get, state list."""

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.table import Table

from shoal.cli.console import NUMBER_MAX, Json, ask, output, print_json, remarks, run, target
from shoal.client import connected
from shoal.errors import InvalidRequestError, NotFoundError
from shoal.model import ClassState, Field, StateObject

app = typer.Typer(no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    parent.add_typer(
        app, name="state", help="Look at the objects of the space by their fields.", rich_help_panel="Looking in"
    )


def field_values(fields: Iterable[Field]) -> Any:
    """Fields as JSON's objects and arrays."""
    return {field.name: _value(field) for field in fields}


def _value(field: Field) -> Any:
    if isinstance(field.value, tuple):
        return [_value(each) for each in field.value] if field.array else field_values(field.value)
    return field.value.hex() if isinstance(field.value, bytes) else field.value


def document(found: StateObject) -> dict[str, Any]:
    return {
        "class": found.class_name,
        "key": field_values(found.key),
        "object": field_values(found.object),
        "place": found.place,
        "told_by": found.instance,
        "holder": found.holder,
        "incarnation": found.incarnation,
        "lease": found.lease,
        "idle_ms": found.idle_ms,
    }


def text_of(fields: Iterable[Field]) -> str:
    """ "address=10.0.0.1 port=1234", structures in braces, arrays in brackets."""
    return " ".join(f"{field.name}={_value_text(field)}" for field in fields)


def _value_text(field: Field) -> str:
    if not isinstance(field.value, tuple):
        return str(_value(field))
    if field.array:
        return f"[{' '.join(_value_text(each) for each in field.value)}]"
    return f"{{{text_of(field.value)}}}"


def key_of(words: list[str]) -> dict[str, str]:
    """A key from "field=value" words, or from one word in short form."""
    if len(words) == 1 and "=" not in words[0]:
        return {"": words[0]}
    key: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InvalidRequestError(f"{word!r} is not of the form field=value")
        if name in key:
            raise InvalidRequestError(f"{name!r} is given twice")
        key[name] = value
    return key


@app.command()
def classes(context: typer.Context, json: Json = False) -> None:
    """List the network function's object classes, and how full their tables are."""
    found = ask(context, lambda client: client.classes(), as_json=json)
    if json:
        print_json(found)
        return
    table = Table("class", "written by", "key bytes", "object bytes", "objects", "room", box=None, pad_edge=False)
    for each in found:
        writers = "methods at its owner" if each.multi_writer else "one holder"
        room = "the server's" if each.capacity is None else str(each.capacity)
        table.add_row(each.name, writers, str(each.key_bytes), str(each.object_bytes), _objects(each), room)
    output.print(table)
    for remark in dict.fromkeys(each.remark for each in found if each.remark):
        remarks.print(remark, style="yellow", markup=False, highlight=False)


def _objects(found: ClassState) -> str:
    if found.objects is None:
        return "unknown"
    return f"at least {found.objects}" if found.at_least else str(found.objects)


@app.command()
def get(
    context: typer.Context,
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="Such as nat.mapping.")],
    key: Annotated[list[str], typer.Argument(help="field=value …, or all fields in order: 10.0.0.1:1234/udp")],
    json: Json = False,
) -> None:
    """Show one object, and what each instance knows of it.

    Example: `shoal state get nat.mapping 10.0.0.1:1234/udp`, or with named fields
    `shoal state get nat.mapping address=10.0.0.1 port=1234 protocol=udp`
    """

    async def work() -> tuple[StateObject, ...]:
        async with connected(target(context).address) as client:
            found = await client.state_get(class_name, key_of(key))
            if not found:
                raise NotFoundError(f"{class_name} {' '.join(key)}: no instance knows of it")
            return found

    found = run(work(), as_json=json)
    if json:
        print_json([document(each) for each in found])
        return
    for each in found:
        where = f"{each.place.replace('_', ' ')}, told by {each.instance}, holder {each.holder or 'none'}"
        output.print(f"{each.class_name} {text_of(each.key)}", style="bold", markup=False, highlight=False)
        output.print(f"  {where}; lease {each.lease}, idle {each.idle_ms} ms", markup=False, highlight=False)
        if each.object:
            output.print(f"  {text_of(each.object)}", markup=False, highlight=False)


@app.command("list")
def list_objects(
    context: typer.Context,
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="Such as nat.mapping.")],
    limit: Annotated[int, typer.Option(help="At most so many; 0: all.", min=0, max=NUMBER_MAX)] = 100,
    instance: Annotated[str, typer.Option(help="Of this instance only.")] = "",
    json: Json = False,
) -> None:
    """List objects of a class where they are, one a line."""

    async def work() -> int:
        count = 0
        async with connected(target(context).address) as client:
            async for each in client.state_list(class_name, limit, instance):
                count += 1
                if json:
                    print_json(document(each), line=True)
                else:
                    line = f"{text_of(each.key)}  {text_of(each.object)}  ({each.place} at {each.instance})"
                    output.print(line, markup=False, highlight=False)
        return count

    count = run(work(), as_json=json)
    if not json and limit and count == limit:
        output.print(f"the first {limit}; --limit 0 shows all", style="dim", highlight=False)
