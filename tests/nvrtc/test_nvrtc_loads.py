"""Kernels that copy have several loads under way per thread: the compiler's own order of loads and stores.

A load behind a store that waits for the load before it is alone under way, and a card's memory is then mostly idle. No
simulator shows that and no result is wrong, so the compiled text is asked.
"""

from __future__ import annotations

import ctypes
import re

import pytest

from bench.sass.nvrtc import Nvrtc, library
from gpu_infer.backends.gpu_source import kernel_source

UNDER_WAY = 4  # that of kernels/common.cuh
COPIES = {
    "gather": "gather_",
    "masked": "masked_",
    "masks": "threshold_|lookup_",
    "restore": "pick_",
    "arrays": "take_",
}
"""Kernels that copy, by module: a pattern of their names."""


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


@pytest.mark.slow
@pytest.mark.parametrize("major", [12, 13])
@pytest.mark.parametrize("module", COPIES)
def test_copies_load_several_voxels_before_they_store_the_first(major: int, module: str) -> None:
    path = library(major)
    if path is None:
        pytest.skip(f"the extra `nvrtc` is not installed: no NVRTC of CUDA {major}")
    text = Assembler(path).text(kernel_source(module), f"{module}.cu")
    kernels = dict(re.findall(r"\.visible \.entry (\w+)\((.*?\n\})", text, re.DOTALL))
    found = {name: stores_in_a_row(body) for name, body in kernels.items() if re.match(COPIES[module], name)}
    assert found
    assert {name: n for name, n in found.items() if n < UNDER_WAY} == {}


def test_what_counts() -> None:
    assert stores_in_a_row("ld.global.f32 st.global.f32 ld.global.f32 st.global.f32") == 1
    assert stores_in_a_row("ld.global.u8 ld.global.u8 @%p1 st.global.u8 st.global.u8 ld.shared.u8 st.global.u8") == 3
    assert stores_in_a_row("ld.param.u64") == 0
