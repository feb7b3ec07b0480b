"""The arrows of docs/architecture.md: nothing imports upwards, and each heavy library has its one home."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gpu_infer"

LAYERS: dict[str, int] = {
    "": 0,
    "__init__": 4,  # names the library for type checkers; imports it when asked
    "errors": 0,
    "_version": 0,
    "redaction": 0,
    "choices": 0,
    "environment": 0,
    "progress": 0,
    "label_table": 0,
    "system": 0,
    "backends": 1,
    "triton": 1,
    "volume": 1,
    "transforms": 2,
    "inferers": 2,
    "writers": 2,
    "send": 2,
    "config": 2,
    "settings": 3,
    "settings_sources": 3,
    "planning": 3,
    "report": 3,
    "nan_scores": 3,
    "segment": 3,
    "segment_strips": 3,
    "infer_windows": 3,
    "union": 3,
    "observer": 3,
    "slot_rings": 3,
    "results": 3,
    "connect": 3,
    "app": 3,
    "session": 3,
    "batch": 3,
    "metrics": 3,
    "logs": 3,
    "doctor": 3,
    "demo": 3,
    "view": 3,
    "compat": 3,
    "repository": 3,
    "imports": 3,
    "cli": 4,
    "__main__": 4,
}
"""A module may import its own layer and those below."""

SIDEWAYS = {
    ("triton", "backends"),  # the arrays and the block that a backend hands over: backends.base and .types only
    ("backends", "volume"),
    ("config", "transforms"),
    ("config", "inferers"),
    ("config", "writers"),
    ("inferers", "transforms"),
    ("writers", "transforms"),  # the arguments and the errors of custom components
}
"""What one package of layers 1 and 2 may import of another in its own layer."""

HOMES: dict[str, tuple[str, ...]] = {
    "cupy": ("backends/gpu/",),
    "cucim": ("backends/gpu/",),
    "numba": ("backends/cpu/",),
    "tritonclient": ("triton/",),
    "onnx": ("repository/",),
    "onnxruntime": ("repository/",),
    "SimpleITK": ("volume/", "writers/", "demo/"),
    "nibabel": ("volume/", "writers/", "demo/"),
    "PIL": ("writers/page_text.py", "writers/preview.py"),
    "isal": ("volume/formats/inflate.py", "writers/gzip_member.py"),
    "pydicom": ("volume/formats/dicom/", "writers/dicom/", "send/"),
    "highdicom": ("writers/dicom/",),
    "pynetdicom": ("send/store.py",),
    "dicomweb_client": ("send/stow.py",),
    "requests": ("send/stow.py",),
    "unearth": ("demo/source_distribution.py",),
    "debugpy": ("system/debugger.py",),
    "distributed": ("batch/engines/dask_",),
    "prometheus_client": ("metrics/",),
    "typer": ("cli/",),
    "rich": ("cli/",),
}

SOURCES = sorted(PACKAGE.rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import in a file, those inside functions included."""
    package = ["gpu_infer", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` names modules, `from .x import y` may name one: both forms are reported.
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def _part(dotted: str) -> str:
    """The first name below gpu_infer; "" for the package itself and what it defines."""
    name = dotted.split(".")[1]
    return name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() else ""


def _owner(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_module_has_a_layer() -> None:
    assert {_owner(path) for path in SOURCES} <= set(LAYERS)


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_nothing_imports_upwards(path: Path) -> None:
    owner = _owner(path)
    wrong = []
    for line, dotted in _imports(path):
        if dotted.split(".")[0] != "gpu_infer" or (part := _part(dotted)) == owner:
            continue
        upwards = LAYERS[part] > LAYERS[owner]
        sideways = LAYERS[part] == LAYERS[owner] and LAYERS[part] in (1, 2) and (owner, part) not in SIDEWAYS
        if upwards or sideways:
            wrong.append(f"{_name(path)}:{line} imports {dotted}")
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=_name)
def test_heavy_libraries_stay_at_home(path: Path) -> None:
    wrong = [
        f"{_name(path)}:{line} imports {dotted}"
        for line, dotted in _imports(path)
        if (homes := HOMES.get(dotted.split(".")[0])) and not _name(path).startswith(homes)
    ]
    assert not wrong


def test_triton_takes_only_the_protocol_of_a_backend() -> None:
    taken = {
        dotted
        for path in (PACKAGE / "triton").rglob("*.py")
        for _, dotted in _imports(path)
        if dotted.startswith("gpu_infer.backends")
    }
    assert all(dotted.startswith(("gpu_infer.backends.base", "gpu_infer.backends.types")) for dotted in taken)


def test_the_command_line_starts_without_heavy_libraries() -> None:
    """`--help` must be quick: nothing that takes long to import is loaded before a command runs."""
    heavy = {"numpy", "numba", "SimpleITK", "nibabel", "tritonclient", "pydantic", "scipy", "unearth", "pydicom"}
    code = "import sys, gpu_infer.cli.main; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert not heavy & set(done.stdout.split())
