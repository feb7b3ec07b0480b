"""Tests of a device that the fake driver cannot pass, each with the reason.

A listed test that passes is an error, and so is one that no longer exists.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

CUPYS_OWN_KERNELS = "the test lets CuPy fill or add arrays, and only our kernels have a host build"
CUCIMS_KERNELS = "cuCIM compiles its own kernels, and only ours have a host build"
SYSTEM_REGIONS = "Triton opens the fake's device memory as system shared memory and answers accordingly"

NO_GPU_IN_TRITON = "Triton's process does not find the fake driver, so that its models compute on the CPU"

CONTRACT = "tests/contract/test_contract_gpu.py::TestGpu"
REGIONS = "tests/triton/shm/test_cuda_regions.py"

EXCEPTIONS: dict[str, str] = {
    f"{CONTRACT}::test_histogram_ends_at_the_greatest_label": CUPYS_OWN_KERNELS,
    f"{CONTRACT}::test_gather_hanging_over_both_sides": CUPYS_OWN_KERNELS,
    f"{CONTRACT}::test_finish_argmax_takes_the_lowest_of_a_tie_and_clears_the_box": CUPYS_OWN_KERNELS,
    "tests/compat/test_arrays_gpu.py::test_a_stream_of_the_callers_own": CUPYS_OWN_KERNELS,
    "tests/backends/gpu/test_second_opinion.py::test_half_pixel_resampling": CUCIMS_KERNELS,
    "tests/backends/gpu/test_second_opinion.py::test_largest_components": CUCIMS_KERNELS,
    f"{REGIONS}::test_a_handle_of_nothing_is_refused": SYSTEM_REGIONS,
    f"{REGIONS}::test_a_name_is_registered_once": SYSTEM_REGIONS,
    "tests/bench/test_models.py::test_the_device_computes_in_the_slot": NO_GPU_IN_TRITON,
}
"""By the test's name without parameters: each of its cases on the device fails."""


def expect_failures(items: Sequence[pytest.Item], arguments: Sequence[str]) -> None:
    """Mark the cases on the device.

    pytest.UsageError if a collected file lacks a test that is listed, unless `arguments` select tests one by one.
    """
    files, names = set(), set()
    for item in items:
        name = item.nodeid.partition("[")[0]
        files.add(name.partition("::")[0])
        names.add(name)
        if name in EXCEPTIONS and item.get_closest_marker("gpu") is not None:
            item.add_marker(pytest.mark.xfail(reason=EXCEPTIONS[name], strict=True))
    if any("::" in argument for argument in arguments):
        return
    missing = [name for name in EXCEPTIONS if name.partition("::")[0] in files and name not in names]
    if missing:
        raise pytest.UsageError(
            f"tests/support/fakecuda/exceptions.py names tests that do not exist: {', '.join(missing)}"
        )
