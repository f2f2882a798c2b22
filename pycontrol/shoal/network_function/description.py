# SPDX-License-Identifier: BSD-3-Clause
"""A network function by what its shared object declares."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shoal.errors import InvalidRequestError, NotFoundError
from shoal.model import Field
from shoal.network_function import fields
from shoal.network_function.image import Image
from shoal.network_function.layout import Layouts, Structure

INSTALLED: Final = Path(__file__).parents[1] / "nfs"
_CLASSES_SECTION: Final = "shoal_classes"


@dataclass(frozen=True, slots=True)
class ObjectClass:
    name: str
    key: Structure
    object: Structure

    def decode_key(self, data: bytes) -> tuple[Field, ...]:
        return fields.decode(self.key, data)

    def decode_object(self, data: bytes) -> tuple[Field, ...]:
        """Nothing where there are no bytes: the object is elsewhere."""
        return fields.decode(self.object, data) if data else ()


@dataclass(frozen=True, slots=True)
class Description:
    name: str
    version: str
    path: Path
    ports: tuple[str, ...]  # by number
    classes: tuple[ObjectClass, ...]

    def object_class(self, name: str) -> ObjectClass:
        for each in self.classes:
            if each.name == name:
                return each
        raise NotFoundError(f"there is no class {name!r}: {', '.join(each.name for each in self.classes)}")

    def port_number(self, name: str) -> int:
        if name not in self.ports:
            raise NotFoundError(f"{self.name} has no port {name!r}: {', '.join(self.ports)}")
        return self.ports.index(name)


def installed() -> tuple[str, ...]:
    """Names of the NFs that came with Shoal."""
    return tuple(sorted(path.stem.removeprefix("libshoal_nf_") for path in INSTALLED.glob("libshoal_nf_*.so")))


def find(name: str, path: Path | None) -> Path:
    """The shared object of an NF: where the configuration says, else the installed one of that name."""
    found = path or INSTALLED / f"libshoal_nf_{name}.so"
    if not found.is_file():
        hint = "" if path else f"; installed are: {', '.join(installed()) or 'none'}"
        raise NotFoundError(f"there is no {found}{hint}")
    return found.absolute()


def describe(path: Path) -> Description:
    """Reads the file; nothing of it is executed."""
    image = Image(path)
    try:
        layouts = Layouts(image)
        nf, port = layouts.structure("struct shoal_nf"), layouts.structure("struct shoal_nf_port")
        start = image.symbol("shoal_nf")
        ports = image.pointer(start + nf.offset("ports"))
        count = image.number(start + nf.offset("ports_count"), 4)
        return Description(
            name=image.string(image.pointer(start + nf.offset("name"))),
            version=image.string(image.pointer(start + nf.offset("version"))),
            path=path,
            ports=tuple(
                image.string(image.pointer(ports + index * port.size + port.offset("name"))) for index in range(count)
            ),
            classes=_classes(image, layouts),
        )
    finally:
        image.close()


def _classes(image: Image, layouts: Layouts) -> tuple[ObjectClass, ...]:
    record, declared = layouts.structure("struct shoal_class_record"), layouts.structure("struct shoal_class")
    start, size = image.section(_CLASSES_SECTION)
    if size % record.size:
        raise InvalidRequestError(f"{image.path}: {_CLASSES_SECTION} is no row of records of {record.size} bytes")
    classes = []
    for address in range(start, start + size, record.size):
        class_address = image.pointer(address + record.offset("class"))
        key = layouts.structure(image.string(image.pointer(address + record.offset("key_type"))))
        value = layouts.structure(image.string(image.pointer(address + record.offset("object_type"))))
        name = image.string(image.pointer(class_address + declared.offset("name")))
        for layout, field in ((key, "key_bytes"), (value, "object_bytes")):
            if image.number(class_address + declared.offset(field), 2) != layout.size:
                raise InvalidRequestError(f"{image.path}: {name} and its debug information disagree in size")
        classes.append(ObjectClass(name, key, value))
    return tuple(sorted(classes, key=lambda each: each.name))
