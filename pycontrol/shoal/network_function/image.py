# SPDX-License-Identifier: BSD-3-Clause
"""An NF's shared object as its loader would see it: bytes by address, with relocations applied. Nothing is executed."""

import struct
from pathlib import Path
from typing import Any, Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from shoal.errors import InvalidRequestError

# Relocations of data by machine: those that add the load address (0 here), and those that add a symbol's address.
_RELATIVE: Final = {"EM_X86_64": {8}, "EM_AARCH64": {1027}}
_SYMBOLIC: Final = {"EM_X86_64": {1, 6}, "EM_AARCH64": {257, 1025}}
_STRING_MAX: Final = 4096


class Image:
    """One file, read once. 64-bit little-endian machines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise InvalidRequestError(f"{path}: {error.strerror}") from error
        try:
            self._elf = ELFFile(self._file)
            if self._elf.elfclass != 64 or not self._elf.little_endian:
                raise InvalidRequestError(f"{path}: not for a 64-bit little-endian machine")
            self._segments = [(segment["p_vaddr"], segment.data()) for segment in self._elf.iter_segments("PT_LOAD")]
            self._pointers = self._relocated()
        except ELFError as error:
            raise InvalidRequestError(f"{path} is no shared object: {error}") from None

    def close(self) -> None:
        self._file.close()

    @property
    def elf(self) -> Any:
        return self._elf

    def _relocated(self) -> dict[int, int]:
        machine = self._elf["e_machine"]
        found = {}
        for section in self._elf.iter_sections():
            if not isinstance(section, RelocationSection) or not section.is_RELA():
                continue
            symbols = self._elf.get_section(section["sh_link"])
            for relocation in section.iter_relocations():
                kind, addend = relocation["r_info_type"], relocation["r_addend"]
                if kind in _RELATIVE.get(machine, ()):
                    found[relocation["r_offset"]] = addend
                elif kind in _SYMBOLIC.get(machine, ()) and isinstance(symbols, SymbolTableSection):
                    symbol = symbols.get_symbol(relocation["r_info_sym"])
                    found[relocation["r_offset"]] = symbol["st_value"] + addend
        return found

    def read(self, address: int, size: int) -> bytes:
        for start, data in self._segments:
            if start <= address and address + size <= start + len(data):
                return bytes(data[address - start : address - start + size])
        raise InvalidRequestError(f"{self.path}: address {address:#x} is in no segment of the file")

    def number(self, address: int, size: int) -> int:
        return int.from_bytes(self.read(address, size), "little")

    def pointer(self, address: int) -> int:
        """The pointer at an address; 0: NULL."""
        if address in self._pointers:
            return self._pointers[address]
        return int(struct.unpack("<Q", self.read(address, 8))[0])

    def string(self, address: int) -> str:
        text = bytearray()
        while len(text) < _STRING_MAX and (byte := self.read(address + len(text), 1)) != b"\0":
            text += byte
        return text.decode("utf-8", "replace")

    def section(self, name: str) -> tuple[int, int]:
        """Address and size of a section."""
        section = self._elf.get_section_by_name(name)
        if section is None:
            raise InvalidRequestError(f"{self.path} has no section {name}: it declares no object classes")
        return section["sh_addr"], section["sh_size"]

    def symbol(self, name: str) -> int:
        """Address of an exported symbol."""
        table = self._elf.get_section_by_name(".dynsym")
        found = table.get_symbol_by_name(name) if isinstance(table, SymbolTableSection) else None
        if not found:
            raise InvalidRequestError(f"{self.path} exports no {name}: it is no network function of Shoal's")
        return int(found[0]["st_value"])
