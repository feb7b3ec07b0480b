"""What the compilers make of every kernel keeps the promises of its source: exact arithmetic, registers alone, and the
structs that Python packs."""

from __future__ import annotations

import functools
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.kernels import FULL
from bench.prediction.cards import H200
from bench.prediction.table import all_rows, hot_loops
from bench.sass.budgets import TOLERANCE, count_instructions, largest
from bench.sass.disassembly import find_nvdisasm
from bench.sass.kernel_code import KernelCode, module_code
from bench.sass.nvrtc import library
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.compile.source import MODULES

MAJORS = (12, 13)
ARCHITECTURE = "90"
STRUCTS = {
    "prepare_": arguments.RESAMPLE,
    "turn_": arguments.TURN,
    "pick_": arguments.PICK,
    "restore_argmax_": arguments.RESTORE_ARGMAX,
    "gather_": arguments.GATHER,
    "blend_parts_": arguments.BLEND_PARTS,
    "blend_": arguments.BLEND,
    "finish_": arguments.FINISH,
    "argmax_": arguments.ARGMAX,
    "histogram_": arguments.HISTOGRAM,
    "moments_": arguments.MOMENTS,
    "extrema_": arguments.EXTREMA,
    "digits_": arguments.DIGITS,
    "bins_": arguments.BINS,
    "curve_": arguments.CURVE,
    "masked_": arguments.MASKED,
    "within_": arguments.WITHIN,
    "threshold_": arguments.THRESHOLD,
    "lookup_": arguments.LOOKUP,
    "overlay_": arguments.LOOKUP,
    "merge_": arguments.MERGE,
    "repaint_": arguments.REPAINT,
    "taps_": arguments.TAPS,
    "extent_": arguments.EXTENT,
    "softmax": arguments.PROBABILITIES,
    "sigmoid": arguments.PROBABILITIES,
    "limit": arguments.PROBABILITIES,
    "improbable": arguments.PROBABILITIES,
    "entropy_": arguments.ENTROPY,
    "components_": arguments.COMPONENTS,
    "label_extents_": arguments.LABEL_EXTENTS,
    "label_": arguments.LABEL_VALUES,
    "take_": arguments.ARRAYS,
    "linear_": arguments.ARRAYS,
    "convert_": arguments.ARRAYS,
    "divide": arguments.DIVIDE,
}
"""The argument of the kernels whose name begins so."""

DIVIDING = "divide$|finish_scores$|finish_masks$|moments_|softmax$|sigmoid$"
"""Kernels that divide floating-point numbers: fused multiply-adds refine a reciprocal until the quotient is exact."""

SLOW_DIVISION = "div_rn_noftz_f32_slowpath"
"""Subroutine of a float32 division near the ends of the range: it scales first, so that its flushes flush nothing."""

INTEGER_DIVISION = "F2I.FTZ.U32.TRUNC.NTZ"
"""Converts the estimate of a reciprocal of an integer, which is no denormal."""

LOCAL = {"LDL", "STL"}
BUDGETS: dict[str, float] = json.loads((Path(__file__).parent / "instruction_budgets.json").read_text(encoding="utf-8"))
ANEW = "python -m bench.machine_code --budgets > tests/nvrtc/instruction_budgets.json"
EVERYTHING = list(itertools.product(MAJORS, MODULES))


@functools.cache
def _module(major: int, module: str, folder: Path | None) -> dict[str, KernelCode]:
    return module_code(module, ARCHITECTURE, major, folder)


@pytest.fixture(params=EVERYTHING, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def module(request: pytest.FixtureRequest) -> dict[str, KernelCode]:
    major, name = request.param
    if library(major) is None or find_nvdisasm() is None:
        pytest.skip(f"the extra `nvrtc` is not installed: no NVRTC of CUDA {major}, or no nvdisasm")
    cache = getattr(request.config, "cache", None)  # not there under -p no:cacheprovider
    return _module(major, name, cache.mkdir("nvrtc") if cache else None)


def _struct(kernel: str) -> np.dtype[np.void]:
    """That of the longest prefix."""
    prefix = max((prefix for prefix in STRUCTS if kernel.startswith(prefix)), key=len, default=None)
    assert prefix is not None, f"the struct of kernel {kernel} is not listed in STRUCTS"
    return STRUCTS[prefix]


@pytest.mark.slow
def test_parameters_are_as_large_as_the_structs_that_python_packs(module: dict[str, KernelCode]) -> None:
    sizes = {name: kernel.resources.parameters for name, kernel in module.items()}
    assert sizes == {name: _struct(name).itemsize for name in sizes}


@pytest.mark.slow
def test_nothing_lies_in_local_memory(module: dict[str, KernelCode]) -> None:
    assert {name: k.resources.stack for name, k in module.items() if k.resources.stack} == {}
    assert {name for name, k in module.items() if any(i.name in LOCAL for i in k.code.instructions)} == set()


@pytest.mark.slow
def test_products_and_sums_are_fused_in_divisions_alone(module: dict[str, KernelCode]) -> None:
    fused = {n for n, k in module.items() if any(i.name in ("FFMA", "DFMA") for i in k.code.instructions)}
    assert {name for name in fused if not re.match(DIVIDING, name)} == set()


@pytest.mark.slow
def test_denormals_are_flushed_in_the_slow_division_alone(module: dict[str, KernelCode]) -> None:
    flushes = {
        (name, routine, instruction.opcode)
        for name, kernel in module.items()
        for routine, instruction in kernel.code.by_routine()
        if ".FTZ" in instruction.opcode and instruction.opcode != INTEGER_DIVISION
    }
    assert {flush for flush in flushes if SLOW_DIVISION not in flush[1]} == set()


@pytest.mark.slow
def test_resources_are_those_that_the_assembler_reports(module: dict[str, KernelCode]) -> None:
    """Our reading of the ELF file against the words of ptxas."""
    for kernel in module.values():
        assert kernel.resources.registers == kernel.reported.registers, kernel.name
        assert kernel.resources.stack == kernel.reported.stack, kernel.name
        assert kernel.resources.instructions == len(kernel.code.instructions), kernel.name


@pytest.mark.slow
def test_rows_have_blocks_of_the_size_that_kernels_are_bounded_to(module: dict[str, KernelCode]) -> None:
    launches = [launch for row in all_rows(*FULL, H200.multiprocessors) for launch in row.launches]
    threads = {launch.kernel: launch.threads for launch in launches if launch.kernel in module}
    assert threads == {name: module[name].resources.threads for name in threads}


@pytest.mark.slow
def test_hot_loops_keep_to_their_budgets(module: dict[str, KernelCode]) -> None:
    """A fifth more instructions than before is a regression; what is meant to be so takes new budgets: see ANEW."""
    numbers = count_instructions([loop for loop in hot_loops(*FULL) if loop.kernel in module], module)
    limits = {name: TOLERANCE * BUDGETS.get(name, 0.0) for name in numbers}
    over = {name: f"{n}, at most {limits[name]:.1f}" for name, n in numbers.items() if n > limits[name]}
    assert over == {}, f"more instructions than their budgets; if they are needed: {ANEW}"


def test_every_budget_is_that_of_a_hot_loop() -> None:
    loops = hot_loops(*FULL)
    assert BUDGETS.keys() == {*map(str, loops), *(f"{loop.kernel}: straight" for loop in loops)}, f"anew: {ANEW}"


def test_the_larger_number_is_the_budget() -> None:
    assert largest([{"a": 1.0, "b": 3.0}, {"a": 2.0}]) == {"a": 2.0, "b": 3.0}


def test_every_struct_is_that_of_a_kernel() -> None:
    packed = {
        name
        for name, value in vars(arguments).items()
        if isinstance(value, np.dtype) and value.names and not name.startswith("_")
    }
    listed = {name for name in packed if any(getattr(arguments, name) is struct for struct in STRUCTS.values())}
    assert packed - listed == {"AXIS", "BLEND_PART"}  # parts of others
