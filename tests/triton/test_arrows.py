"""Arrows inside gpu_infer/triton: model ← client ← shm ← transport ← ring, and a local server above client and shm."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gpu_infer.triton

PACKAGE = Path(gpu_infer.triton.__file__).parent
PREFIX = "gpu_infer.triton."

LEVELS = {
    "model": 1,
    "client": 2,
    "shm": 3,
    "local": 4,
    "transport": 4,
    "direct_sender": 5,
    "probe": 5,
    "slot": 5,
    "slot_group": 5,
    "slot_layout": 5,
    "slot_memory": 5,
    "slot_requests": 5,
    "worker": 5,
    "ring": 6,
}
"""A part may import itself, the parts of its own level and those below; `local` and `transport` not each other."""


def imported_parts(path: Path) -> set[str]:
    """Parts of gpu_infer.triton that a file imports, also inside functions."""
    parts = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        parts |= {name.removeprefix(PREFIX).split(".")[0] for name in names if name.startswith(PREFIX)}
    return parts


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


SOURCES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_part_imports_a_higher_one(path: Path) -> None:
    part = part_of(path)
    imported = imported_parts(path) - {part}
    assert not {other for other in imported if LEVELS[other] > LEVELS[part]}
    if part in ("local", "transport"):
        assert not imported & {"local", "transport"}


def test_every_part_has_a_level() -> None:
    assert {part_of(path) for path in SOURCES} == set(LEVELS)
