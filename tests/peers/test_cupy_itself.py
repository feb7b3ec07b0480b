"""The real CuPy takes what the GPU backend hands it: as far as that can be seen where there is no device.

The simulator stands in for CuPy everywhere else; here its names, and those that the backend uses, are CuPy's own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
from cudasim.stand_in import module as stand_in  # noqa: E402

from gpu_infer.backends.gpu import kernel_arguments as gpu_arguments  # noqa: E402
from gpu_infer.backends.gpu.compile.modules import Kernels, compile_cubin  # noqa: E402
from gpu_infer.backends.gpu.compile.source import MODULES  # noqa: E402
from gpu_infer.errors import ConfigError  # noqa: E402

BACKENDS = Path(gpu_arguments.__file__).parent
STRUCTS = {name: value for name, value in vars(gpu_arguments).items() if isinstance(value, np.dtype) and name.isupper()}


def used_names() -> set[str]:
    """Every `cupy.x.y` in the sources of the GPU backend."""
    actual = set()
    for path in BACKENDS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            parts: list[str] = []
            while isinstance(node, ast.Attribute):
                parts.insert(0, node.attr)
                node = node.value
            if parts and isinstance(node, ast.Name) and node.id == "cupy":
                actual.add(".".join(parts))
    return actual


def simulated_names(thing: Any, prefix: str = "") -> Iterator[str]:
    for name, value in vars(thing).items():
        if name.startswith("__"):
            continue
        if isinstance(value, SimpleNamespace):
            yield from simulated_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


@pytest.mark.parametrize("name", sorted(used_names()))
def test_a_name_that_the_backend_uses_is_cupys(name: str) -> None:
    reduce(getattr, name.split("."), cupy)


@pytest.mark.parametrize("name", sorted(simulated_names(stand_in())))
def test_a_name_of_the_stand_in_is_cupys(name: str) -> None:
    reduce(getattr, name.split("."), cupy)


@pytest.mark.parametrize(
    "name",
    ["ndarray", *(f"cuda.{n}" for n in ("Stream", "Event", "MemoryPool", "MemoryPointer", "Memory", "UnownedMemory"))],
)
def test_a_method_of_the_stand_in_is_cupys(name: str) -> None:
    simulated, real = (reduce(getattr, name.split("."), library) for library in (stand_in(), cupy))
    public = {each for each in vars(simulated) if not each.startswith("_")}
    assert public <= set(dir(real)), f"cupy.{name} lacks {sorted(public - set(dir(real)))}"


def launched(argument: Any) -> Exception:
    """What CuPy's launcher raises: it turns arguments into bytes before it asks for a device."""
    function = cupy.cuda.function.Function.__new__(cupy.cuda.function.Function)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function((1,), (32, 8), (argument,), shared_mem=0, stream=SimpleNamespace(ptr=0))
    return caught.value


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_the_launcher_takes_a_struct_by_value(name: str) -> None:
    struct = STRUCTS[name]
    zeros = np.zeros((), struct)
    argument = gpu_arguments.packed(struct, **{field: zeros[field] for field in struct.names or ()})
    error = launched(argument)
    assert not isinstance(error, TypeError), error
    # what CuPy passes: the address of so many bytes, without a description of fields that NumPy writes in Python
    assert argument.nbytes == struct.itemsize
    assert argument.__array_interface__["descr"] == [("", f"|V{struct.itemsize}")]


def test_the_launcher_refuses_what_it_cannot_pass() -> None:
    assert isinstance(launched(np.zeros(2, f"V{STRUCTS['BLEND'].itemsize}")), TypeError)
    assert isinstance(launched(object()), TypeError)


def compiler() -> None:
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # CuPy says in many ways that it found no library
        pytest.skip(f"CuPy finds no NVRTC: {error}")


@pytest.mark.parametrize("module", MODULES)
def test_cupys_compiler_takes_every_kernel(module: str) -> None:
    compiler()
    assert compile_cubin(module, "90").startswith(b"\x7fELF")


def test_a_refusal_of_cupys_compiler_is_one_line() -> None:
    compiler()
    with pytest.raises(ConfigError) as caught:
        compile_cubin("blend", "20")
    assert str(caught.value).startswith("blend.cu cannot be compiled for sm_20 by NVRTC ")
    assert "gpu-architecture" in str(caught.value)


def test_cupys_word_for_no_compiler_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CuPy 14 raises where it finds no NVRTC; older ones raise RuntimeError itself."""
    pathfinder = pytest.importorskip("cuda.pathfinder")

    def missing() -> None:
        raise pathfinder.DynamicLibNotFoundError('Failure finding "libnvrtc.so.13"')

    monkeypatch.setattr(cupy.cuda.nvrtc, "getVersion", missing)
    with pytest.raises(ConfigError, match="CuPy finds no NVRTC, which compiles the kernels for sm_90"):
        Kernels("90")
