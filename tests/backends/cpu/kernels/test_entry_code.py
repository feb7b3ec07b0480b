"""Kernels are cached without intermediate code: they run from the cache, and no compiled function calls one."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from gpu_infer.backends.cpu import kernels

PROGRAM = """
import json, sys
from numba import njit, prange
from gpu_infer.backends.cpu.kernels.jit import compiled, helper

@helper
def double(x):
    return 2 * x

@compiled(parallel=True)
def doubles(values):
    total = 0
    for i in prange(values):
        total += double(i)
    return total

@helper
def quadruple(x):
    return 2 * double(x)

results = [doubles(10), sum(doubles.stats.cache_hits.values()), double(4)]
print(json.dumps(results + [quadruple(4)] * (len(sys.argv) - 1)))
"""


def _run(program: Path, *arguments: str) -> Any:
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(program.with_name("kernels"))}
    done = subprocess.run(
        [sys.executable, str(program), *arguments], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kernels_run_from_the_cache_and_helpers_from_it_are_inlined(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    assert _run(program) == [90, 0, 8]
    assert _run(program) == [90, 1, 8]
    assert _run(program, "more") == [90, 1, 8, 16]


def test_no_kernel_calls_another() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in Path(kernels.__path__[0]).glob("*.py")]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    compiled = [function for function in functions if function.decorator_list]
    names = {
        function.name
        for function in compiled
        for decorator in map(ast.unparse, function.decorator_list)
        if decorator in ("kernel", "sequential") or "parallel=True" in decorator
    }
    names |= {
        target.id
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("serial(")
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    called = {
        call.func.id
        for function in compiled
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    assert {"resample", "weighted_mean_box_and_clear", "join_slabs", "read_windows_serial"} <= names
    assert not names & called
