# SPDX-License-Identifier: BSD-3-Clause
"""Layouts of C types, from the DWARF that lies in the NF's shared object."""

from dataclasses import dataclass
from typing import Any

from shoal.errors import InvalidRequestError
from shoal.network_function.image import Image


@dataclass(frozen=True, slots=True)
class Number:
    size: int
    signed: bool = False
    truth: bool = False
    real: bool = False


@dataclass(frozen=True, slots=True)
class Characters:
    """An array of char."""

    size: int


@dataclass(frozen=True, slots=True)
class Enumeration:
    size: int
    names: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Array:
    element: "Layout"
    count: int

    @property
    def size(self) -> int:
        return self.count * self.element.size


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    offset: int
    layout: "Layout"
    bits: tuple[int, int] | None = None  # offset from the structure's start and width, of a bit field


@dataclass(frozen=True, slots=True)
class Structure:
    name: str
    size: int
    members: tuple[Member, ...]

    def offset(self, name: str) -> int:
        """Where a member lies."""
        for member in self.members:
            if member.name == name:
                return member.offset
        raise InvalidRequestError(f"struct {self.name} has no member {name}")


@dataclass(frozen=True, slots=True)
class Opaque:
    """A pointer, or what else has no layout of its own here."""

    size: int


Layout = Number | Characters | Enumeration | Array | Structure | Opaque


class Layouts:
    """All named structures and typedefs of an image."""

    def __init__(self, image: Image) -> None:
        self._image = image
        if not image.elf.has_dwarf_info():
            raise InvalidRequestError(f"{image.path} was built without debug information: its fields have no names")
        self._named: dict[str, Any] = {}
        self._made: dict[int, Layout] = {}
        for unit in image.elf.get_dwarf_info().iter_CUs():
            for entry in unit.get_top_DIE().iter_children():
                self._note(entry)

    def _note(self, entry: Any) -> None:
        if entry.tag not in ("DW_TAG_structure_type", "DW_TAG_typedef", "DW_TAG_union_type"):
            return
        name = _name(entry)
        if name and "DW_AT_declaration" not in entry.attributes:
            keyword = {"DW_TAG_structure_type": "struct ", "DW_TAG_union_type": "union "}.get(entry.tag, "")
            self._named.setdefault(keyword + name, entry)

    def named(self, name: str) -> Layout:
        """The layout of "struct x" or of a typedef."""
        if name not in self._named:
            raise InvalidRequestError(f"{self._image.path}: its debug information has no type {name}")
        return self._layout(self._named[name])

    def structure(self, name: str) -> Structure:
        layout = self.named(name)
        if not isinstance(layout, Structure):
            raise InvalidRequestError(f"{self._image.path}: {name} is no structure")
        return layout

    def _layout(self, entry: Any) -> Layout:
        if entry.offset not in self._made:
            self._made[entry.offset] = self._make(entry)
        return self._made[entry.offset]

    def _target(self, entry: Any) -> Layout:
        return self._layout(entry.get_DIE_from_attribute("DW_AT_type"))

    def _make(self, entry: Any) -> Layout:
        match entry.tag:
            case "DW_TAG_typedef" | "DW_TAG_const_type" | "DW_TAG_volatile_type" | "DW_TAG_atomic_type":
                return self._target(entry)
            case "DW_TAG_base_type":
                return _number(entry)
            case "DW_TAG_enumeration_type":
                children = (child for child in entry.iter_children() if child.tag == "DW_TAG_enumerator")
                names = tuple((_value(child, "DW_AT_const_value"), _name(child)) for child in children)
                return Enumeration(_value(entry, "DW_AT_byte_size"), names)
            case "DW_TAG_array_type":
                return self._array(entry)
            case "DW_TAG_structure_type" | "DW_TAG_union_type":
                return self._structure(entry)
            case "DW_TAG_pointer_type":
                return Opaque(8)
        return Opaque(_value(entry, "DW_AT_byte_size"))

    def _array(self, entry: Any) -> Layout:
        counts = []
        for child in entry.iter_children():
            if "DW_AT_count" in child.attributes:
                counts.append(_value(child, "DW_AT_count"))
            elif "DW_AT_upper_bound" in child.attributes:
                counts.append(_value(child, "DW_AT_upper_bound") + 1)
            else:
                counts.append(0)
        element_entry = entry.get_DIE_from_attribute("DW_AT_type")
        if _is_char(element_entry) and len(counts) == 1:
            return Characters(counts[0])
        layout = self._layout(element_entry)
        for count in reversed(counts):
            layout = Array(layout, count)
        return layout

    def _structure(self, entry: Any) -> Structure:
        members = tuple(
            member for child in entry.iter_children() if child.tag == "DW_TAG_member" for member in self._members(child)
        )
        return Structure(_name(entry), _value(entry, "DW_AT_byte_size"), members)

    def _members(self, entry: Any) -> tuple[Member, ...]:
        layout = self._target(entry)
        offset = _value(entry, "DW_AT_data_member_location")
        if not _name(entry) and isinstance(layout, Structure):  # an anonymous one: its members are the outer's
            return tuple(Member(m.name, offset + m.offset, m.layout, m.bits) for m in layout.members)
        bits = None
        if "DW_AT_bit_size" in entry.attributes:
            bits = (_value(entry, "DW_AT_data_bit_offset"), _value(entry, "DW_AT_bit_size"))
        return (Member(_name(entry), offset, layout, bits),)


def _name(entry: Any) -> str:
    attribute = entry.attributes.get("DW_AT_name")
    return attribute.value.decode() if attribute is not None else ""


def _value(entry: Any, attribute: str) -> int:
    found = entry.attributes.get(attribute)
    return int(found.value) if found is not None and isinstance(found.value, int) else 0


def _number(entry: Any) -> Number:
    encoding = _value(entry, "DW_AT_encoding")
    # DWARF 5, table 7.11: boolean 2, float 4, signed 5, signed char 6.
    return Number(_value(entry, "DW_AT_byte_size"), encoding in (5, 6), encoding == 2, encoding == 4)


def _is_char(entry: Any) -> bool:
    while entry.tag in ("DW_TAG_const_type", "DW_TAG_volatile_type"):
        entry = entry.get_DIE_from_attribute("DW_AT_type")
    return entry.tag == "DW_TAG_base_type" and _name(entry) == "char"
