"""Functions that a program which uses gpu_infer compiles with Numba itself."""

from __future__ import annotations

from typing import Any

import pytest
from numba import njit

from gpu_infer.backends.cpu.kernels import jit


def test_a_function_without_a_module_is_compiled_without_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    names: dict[str, Any] = {}
    exec("def twice(x):\n    return 2 * x\n", {"__builtins__": {}}, names)
    function = names["twice"]
    assert function.__module__ != jit.__package__
    function.__module__ = None
    with caplog.at_level("INFO"):
        assert njit(function)(21) == 42
    assert not caplog.records
