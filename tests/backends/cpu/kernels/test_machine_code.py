"""Kernels from Numba's cache: its compiler is not loaded for them, and still compiles what the cache lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

PROGRAM = """
import json, sys
import numpy as np
from gpu_infer import zoom
from gpu_infer.backends.cpu.kernels import machine_code
{before}
values = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
linear = zoom(values, 2, order=1, mode="nearest")
loaded = "numba.cpython.listobj" in sys.modules
nearest = zoom(values.astype(np.uint8), 2, order=0, mode="nearest") if {nearest} else linear
print(json.dumps([loaded, linear.tolist(), nearest.tolist()]))
"""


def _run(cache: Path, *, before: str = "", nearest: bool = False) -> Any:
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(cache)}
    program = PROGRAM.format(before=before, nearest=nearest)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _zoomed(order: int) -> NDArray[np.float32]:
    values = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    zoomed: NDArray[np.float32] = scipy.ndimage.zoom(values, 2, order=order, mode="nearest")
    return zoomed


def test_a_cached_kernel_is_started_without_the_compiler(tmp_path: Path) -> None:
    compiled, first, _ = _run(tmp_path)
    loaded, second, _ = _run(tmp_path)
    assert compiled
    assert not loaded
    assert first == second
    np.testing.assert_allclose(second, _zoomed(1), atol=1e-5)


def test_a_cached_kernel_is_started_without_numbas_own_functions(tmp_path: Path) -> None:
    """Which contain `np.empty`, here; a kernel that is compiled later still finds them."""
    _run(tmp_path)
    names = ["numba.np.arrayobj", "numba.np.npyimpl"]
    shown = f"\nimport atexit; atexit.register(lambda: print([n in sys.modules for n in {names}], file=sys.stderr))"
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path)}
    for nearest, expected in ((False, "[False, False]"), (True, "[True, True]")):
        program = PROGRAM.format(before=shown, nearest=nearest)
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8", check=True
        )
        assert done.stderr.splitlines()[-1] == expected
        np.testing.assert_allclose(json.loads(done.stdout)[1], _zoomed(1), atol=1e-5)


def test_a_kernel_is_compiled_after_others_were_loaded(tmp_path: Path) -> None:
    _run(tmp_path)
    loaded, _, nearest = _run(tmp_path, nearest=True)
    assert not loaded
    np.testing.assert_allclose(nearest, _zoomed(0))
    assert _run(tmp_path, nearest=True) == [False, *_run(tmp_path, nearest=True)[1:]]


def test_a_numba_without_the_table_of_addresses_loads_as_it_always_did(tmp_path: Path) -> None:
    _, first, _ = _run(tmp_path)
    loaded, second, _ = _run(tmp_path, before="machine_code._nrt_python = object()")
    assert loaded
    assert first == second
