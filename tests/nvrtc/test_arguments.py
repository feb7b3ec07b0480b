"""Every field of a kernel's struct lies where Python packs it: the compiler itself compares offsets, sizes and types.

A field that was moved on one side alone would be a wrong picture, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bench.sass.nvrtc import library, nvrtc
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.compile.source import MODULES, compile_options, kernel_source

MAJORS = (12, 13)
KINDS = """
template <class T> struct Kind { static const char value = '?'; };
template <class T> struct Kind<T*> { static const char value = 'u'; };
template <> struct Kind<u64> { static const char value = 'u'; };
template <> struct Kind<i64> { static const char value = 'i'; };
template <> struct Kind<int> { static const char value = 'i'; };
template <> struct Kind<unsigned int> { static const char value = 'u'; };
template <> struct Kind<float> { static const char value = 'f'; };
template <> struct Kind<double> { static const char value = 'f'; };
template <> struct Kind<Affine> { static const char value = 'f'; };
template <class T, int n> struct Kind<T[n]> { static const char value = Kind<T>::value; };
"""
"""NumPy's kind of a C type; a pointer is packed as an unsigned integer, the constants of a function as floats."""

STRUCTS = {
    name: value
    for name, value in vars(arguments).items()
    if isinstance(value, np.dtype) and value.names and not name.startswith("_")
}


def _declarations(source: str) -> str:
    """The types, constants and plain structs of a module: its text without functions, which take long to compile."""
    parts = re.findall(
        r"^(?:typedef .*?;|static const int \w+ = .*?;|struct \w+ \{[^{}()]*\};)", source, re.MULTILINE | re.DOTALL
    )
    return "\n".join(parts)


def _module_of(struct: str) -> str:
    holding = [module for module in MODULES if f"struct {struct} {{" in kernel_source(module)]
    assert holding, f"no file of kernels/ declares struct {struct}"
    return holding[0]


def _fields(dtype: np.dtype[Any], path: str = "", base: int = 0) -> Iterator[tuple[str, int, int, str]]:
    """(C expression, offset, size, kind) of every field; of an array of structs, of the first and second."""
    assert dtype.fields is not None
    for name, (kind, offset, *_) in dtype.fields.items():
        at, here = base + offset, f"{path}{name}"
        element = kind.base
        if element.fields is None:
            yield here, at, kind.itemsize, element.kind
        elif kind.shape:
            for n in range(2):
                yield from _fields(element, f"{here}[{n}].", at + n * element.itemsize)
        else:
            yield from _fields(element, f"{here}.", at)


def _assertions(struct: str, dtype: np.dtype[Any]) -> str:
    """`__INTADDR__` is the compilers' own offsetof, for which NVRTC has no header."""
    lines = [f'static_assert(sizeof({struct}) == {dtype.itemsize}, "size of {struct}");']
    for path, offset, size, kind in _fields(dtype):
        field = f"static_cast<{struct}*>(nullptr)->{path}"
        lines += [
            f'static_assert(__INTADDR__(&({field})) == {offset}, "offset of {struct}.{path}");',
            f'static_assert(sizeof({field}) == {size}, "size of {struct}.{path}");',
            f"static_assert(Kind<decltype({field})>::value == '{kind}', \"kind of {struct}.{path}\");",
        ]
    return "\n".join(lines)


def _mistakes(major: int, struct: str, dtype: np.dtype[Any]) -> str:
    """The compiler's log where it disagrees, else ""."""
    if library(major) is None:
        pytest.skip(f"the extra `nvrtc` is not installed: no NVRTC of CUDA {major}")
    source = "\n".join((_declarations(kernel_source(_module_of(struct))), KINDS, _assertions(struct, dtype)))
    compiled = nvrtc(major).compile(source, "structs.cu", compile_options("90"))
    return "" if compiled.ok else compiled.log


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", STRUCTS)
def test_fields_lie_where_python_packs_them(major: int, name: str) -> None:
    assert _mistakes(major, name.title().replace("_", ""), STRUCTS[name]) == ""


def test_every_field_of_the_source_is_packed() -> None:
    """The same number of fields: one that Python lacks could hide in the padding at the end."""
    for name, dtype in STRUCTS.items():
        struct = name.title().replace("_", "")
        body = re.search(rf"struct {struct} \{{(.*?)\n\}};", kernel_source(_module_of(struct)), re.DOTALL)
        assert body is not None
        text = re.sub(r"//[^\n]*|\[[^\]]*\]", "", body[1])
        declarators = [part for statement in text.split(";") for part in statement.split(",") if part.strip()]
        names = [part.split()[-1].lstrip("*") for part in declarators]
        assert names == list(dtype.names or ()), struct


def test_a_field_in_the_wrong_place_is_seen() -> None:
    masked = [(name, arguments.MASKED.fields[name][0]) for name in arguments.MASKED.names]
    exchanged = np.dtype([masked[1], masked[0], *masked[2:]], align=True)
    assert "offset of Masked.source" in _mistakes(MAJORS[-1], "Masked", exchanged)
    retyped = np.dtype([*masked[:-1], ("function", "i4", 4)], align=True)
    assert "kind of Masked.function" in _mistakes(MAJORS[-1], "Masked", retyped)
    short = np.dtype([*masked[:-1], ("function", "f4", 2)], align=True)
    assert "size of Masked" in _mistakes(MAJORS[-1], "Masked", short)
