"""Resources of every kernel of a cubin, read from its ELF sections; no tool of NVIDIA's needed.

Sections: `.text.NAME` (code; a symbol per kernel and per subroutine in it), `.nv.info` (attributes by symbol),
`.nv.info.NAME` (attributes of one kernel). An attribute is (format u8, number u8, u16): the u16 is the value, or with
format 4 the number of bytes of the value, which follows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_FUNCTION = 2  # of a symbol's type
_SIZED = 4  # of an attribute's format
_MAX_THREADS, _FRAME_SIZE, _CBANK_PARAM_SIZE, _REGISTER_COUNT = 0x05, 0x11, 0x19, 0x2F


@dataclass(frozen=True)
class Function:
    """registers per thread; stack (bytes per thread) and parameters in bytes; instructions of 16 bytes each, padding
    included; threads of a block, of the source's launch bounds (0: it has none)."""

    name: str
    registers: int
    stack: int
    parameters: int
    instructions: int
    threads: int


@dataclass(frozen=True)
class _Section:
    name: str
    content: bytes
    size: int


def kernels(cubin: bytes) -> dict[str, Function]:
    """Name → resources; ValueError if the bytes are no 64-bit little-endian ELF file."""
    if cubin[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"a cubin is a 64-bit little-endian ELF file, found the first bytes {cubin[:6]!r}")
    sections = _sections(cubin)
    by_name = {section.name: section for section in sections}
    symbols = _symbols(by_name[".symtab"].content, by_name[".strtab"].content)
    common = _attributes_by_symbol(by_name[".nv.info"].content)
    functions = {}
    for number, (name, kind) in enumerate(symbols):
        info = by_name.get(f".nv.info.{name}")
        if kind != _FUNCTION or info is None:
            continue
        own = dict(_attributes(info.content))
        functions[name] = Function(
            name,
            registers=common[_REGISTER_COUNT, number],
            stack=common[_FRAME_SIZE, number],
            parameters=int.from_bytes(own.get(_CBANK_PARAM_SIZE, b""), "little"),
            instructions=by_name[f".text.{name}"].size // 16,
            threads=int.from_bytes(own.get(_MAX_THREADS, b"")[:4], "little"),
        )
    return functions


def _sections(cubin: bytes) -> list[_Section]:
    header = _HEADER.unpack_from(cubin)
    offset, size, count, names_at = header[5], header[10], header[11], header[12]
    entries = [_SECTION.unpack_from(cubin, offset + n * size) for n in range(count)]
    names = _content(cubin, entries[names_at])
    return [_Section(_text(names, entry[0]), _content(cubin, entry), entry[5]) for entry in entries]


def _content(cubin: bytes, entry: tuple[int, ...]) -> bytes:
    without_bytes = 8  # SHT_NOBITS
    return b"" if entry[1] == without_bytes else cubin[entry[4] : entry[4] + entry[5]]


def _symbols(table: bytes, names: bytes) -> list[tuple[str, int]]:
    return [(_text(names, entry[0]), entry[1] & 15) for entry in _SYMBOL.iter_unpack(table)]


def _text(names: bytes, at: int) -> str:
    return names[at : names.index(b"\0", at)].decode()


def _attributes(info: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(info):
        style, number, value = struct.unpack_from("<BBH", info, at)
        at += 4
        if style == _SIZED:
            yield number, info[at : at + value]
            at += value
        else:
            yield number, struct.pack("<H", value)


def _attributes_by_symbol(info: bytes) -> dict[tuple[int, int], int]:
    """(attribute, symbol) → value, for the attributes that are a symbol and a number."""
    pairs = ((number, value) for number, value in _attributes(info) if len(value) == 8)
    return {(number, symbol): value for number, pair in pairs for symbol, value in [struct.unpack("<II", pair)]}
