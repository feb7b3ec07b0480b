"""Kernels that copy have several loads under way per thread: the compiler's own order of loads and stores.

A load behind a store that waits for the load before it is alone under way, and a card's memory is then mostly idle. No
simulator shows that and no result is wrong, so the compiled text is asked.
"""

from __future__ import annotations

import ctypes
import re
from functools import cache

import pytest

from bench.sass.nvrtc import Nvrtc, library
from gpu_infer.backends.gpu.compile.source import kernel_source

UNDER_WAY = 4  # that of kernels/common.cuh
COPIES = {
    "gather": "gather_",
    "masked": "masked_|within_",
    "masks": "threshold_|lookup_|repaint_",
    "restore": "pick_",
    "arrays": "take_",
    "convert": "convert_",
}
"""Kernels that copy, by module: a pattern of their names."""
WIDE = ("masks", "statistics", "convert")
"""Modules with kernels that read or write 16 bytes at a time."""
WORDS = "pick_tile_(u1_1|u2_2|[iu]1_2)"
"""Kernels that read and write words of 4 bytes that hold several labels."""


class Assembler(Nvrtc):
    def text(self, source: str, name: str) -> str:
        """PTX for no card in particular."""
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
        try:
            given = (b"-std=c++17", b"--gpu-architecture=compute_80", b"--fmad=false")
            self._call("nvrtcCompileProgram", program, len(given), (ctypes.c_char_p * len(given))(*given))
            return self._text(program, "PTX").decode()
        finally:
            self._call("nvrtcDestroyProgram", ctypes.byref(program))


def stores_in_a_row(body: str) -> int:
    """The greatest number of stores to global memory between which nothing is loaded from there."""
    accesses = re.findall(r"\b(ld|st)\.global", body)
    return max((len(run) for run in "".join("s" if a == "st" else " " for a in accesses).split()), default=0)


def nbytes(access: str) -> int:
    """Of one access: `ld.global.v4.u32` moves 16 bytes."""
    size = re.search(r"(?:\.v(\d))?\.[a-z](\d+)$", access)
    assert size, access
    return int(size[1] or 1) * int(size[2]) // 8


def loads_in_a_row(body: str, width: int) -> int:
    """The greatest number of loads of `width` bytes from global memory between which nothing is written or counted."""
    accesses = re.findall(r"\b(?:ld\.global|st\.\w+|atom\.\w+|red\.\w+)[\w.]*", body)
    kinds = (" " if not a.startswith("ld") else "l" if nbytes(a) == width else "" for a in accesses)
    return max((len(run) for run in "".join(kinds).split()), default=0)


def widest_store(body: str) -> int:
    return max(map(nbytes, re.findall(r"\bst\.global[\w.]*", body)), default=0)


def wide_sides(name: str) -> tuple[int, int]:
    """Bytes that a lane of a conversion reads and writes at once: 16 on the wider side."""
    read, written = (int(size) for size in re.fullmatch(r"convert_\w(\d)_\w(\d)", name).groups())  # type: ignore[union-attr]
    return 16 * read // max(read, written), 16 * written // max(read, written)


@cache
def kernels(major: int, module: str) -> dict[str, str]:
    """The text of each kernel of a module."""
    path = library(major)
    if path is None:
        pytest.skip(f"the extra `nvrtc` is not installed: no NVRTC of CUDA {major}")
    text = Assembler(path).text(kernel_source(module), f"{module}.cu")
    return dict(re.findall(r"\.visible \.entry (\w+)\((.*?\n\})", text, re.DOTALL))


@pytest.mark.slow
@pytest.mark.parametrize("major", [12, 13])
@pytest.mark.parametrize("module", COPIES)
def test_copies_load_several_voxels_before_they_store_the_first(major: int, module: str) -> None:
    bodies = kernels(major, module).items()
    stores = {name: stores_in_a_row(body) for name, body in bodies if re.match(COPIES[module], name)}
    assert stores
    assert {name: n for name, n in stores.items() if n < UNDER_WAY} == {}


@pytest.mark.slow
@pytest.mark.parametrize("major", [12, 13])
def test_several_wide_loads_are_under_way(major: int) -> None:
    bodies = {name: body for module in WIDE for name, body in kernels(major, module).items()}
    sides = {name: wide_sides(name) for name in bodies if name.startswith("convert_")}
    sides |= {f"lookup_packs_{label}": (16, 16) for label in ("u1", "u2")}
    sides |= {f"histogram_{label}": (16, 0) for label in ("u1", "u2")}
    assert len(sides) == 12
    assert {name: widest_store(bodies[name]) for name in sides} == {name: out for name, (_, out) in sides.items()}
    loads = {name: loads_in_a_row(bodies[name], read) for name, (read, _) in sides.items()}
    assert {name: n for name, n in loads.items() if n < UNDER_WAY} == {}


@pytest.mark.slow
@pytest.mark.parametrize("major", [12, 13])
def test_tiles_of_labels_are_read_and_written_as_words(major: int) -> None:
    chosen = {name: body for name, body in kernels(major, "restore").items() if re.fullmatch(WORDS, name)}
    assert len(chosen) == 4
    assert {name for name, body in chosen.items() if loads_in_a_row(body, 4) < UNDER_WAY} == set()
    assert {widest_store(body) for body in chosen.values()} == {4}


def test_what_counts_as_wide() -> None:
    assert [nbytes(a) for a in ("ld.global.u8", "ld.global.v4.u32", "st.global.v2.f64", "ld.global.v2.u8")] == [
        1,
        16,
        16,
        2,
    ]
    assert loads_in_a_row("ld.global.u32 ld.global.u32 st.shared.u32 ld.global.u32", 4) == 2
    assert loads_in_a_row("ld.global.u32 ld.shared.u8 ld.global.u32 red.global.add.u64 x", 4) == 2
    assert loads_in_a_row("ld.global.v2.u16 ld.global.u8 ld.global.u32", 4) == 2
    assert widest_store("st.global.u8 ld.global.v4.u32 st.global.v2.u32") == 8
    assert (wide_sides("convert_u1_f4"), wide_sides("convert_f8_f4")) == ((4, 16), (16, 8))


def test_what_counts() -> None:
    assert stores_in_a_row("ld.global.f32 st.global.f32 ld.global.f32 st.global.f32") == 1
    assert stores_in_a_row("ld.global.u8 ld.global.u8 @%p1 st.global.u8 st.global.u8 ld.shared.u8 st.global.u8") == 3
    assert stores_in_a_row("ld.param.u64") == 0
