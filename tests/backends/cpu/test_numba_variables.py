"""Settings of Numba with which no kernel runs, held against what Numba itself does."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import llvmlite.binding as llvm
import pytest

from gpu_infer.backends.cpu.numba_variables import NUMBA_FILE, check_numba_variables
from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings

CHILD = """
import os, warnings
warnings.simplefilter("ignore")  # a value that cannot be parsed counts as unset
from gpu_infer.backends.cpu.numba_variables import check_numba_variables
from gpu_infer.errors import ConfigError
try:
    check_numba_variables(os.environ)
    print("accepted")
except ConfigError:
    print("refused")
try:
    import numba.np.ufunc.parallel
    numba.np.ufunc.parallel._launch_threads()
    print("starts")
except (ValueError, RuntimeError) as error:
    print("fails")
"""


def _child(folder: Path, **variables: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")} | variables
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("NUMBA_THREADING_LAYER", layer)
            for layer in ("default", "tbb", "OMP", "workqueue", "safe", "threadsafe", "forksafe", "opnemp", "", " omp")
        ),
        *(
            ("NUMBA_THREADING_LAYER_PRIORITY", text)
            for text in ("workqueue tbb omp", "omp tbb", "", "omp,tbb,workqueue")
        ),
        *(("NUMBA_NUM_THREADS", text) for text in ("1", " 2 ", "0", "-1", "")),
    ],
)
def test_what_is_accepted_starts_and_what_is_refused_fails(tmp_path: Path, name: str, value: str) -> None:
    assert _child(tmp_path, **{name: value}) in (["accepted", "starts"], ["refused", "fails"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["accepted", "starts"]),
        ("threading_layer: workqueue\ndisable_jit: false\nnum_threads: 2\n", ["accepted", "starts"]),
        ("threading_layer: opnemp\n", ["refused", "fails"]),
        ("num_threads: 0\n", ["refused", "fails"]),
    ],
)
def test_the_file_of_settings(tmp_path: Path, text: str, expected: list[str]) -> None:
    pytest.importorskip("yaml")
    (tmp_path / NUMBA_FILE).write_text(text)
    assert _child(tmp_path) == expected
    assert _child(tmp_path, NUMBA_THREADING_LAYER="workqueue", NUMBA_NUM_THREADS="1") == ["accepted", "starts"]


@pytest.mark.parametrize("text", ["a: [", "just words", "1: 2", "\udcff"])
def test_a_file_that_numba_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    pytest.importorskip("yaml")
    (tmp_path / NUMBA_FILE).write_bytes(text.encode(errors="surrogateescape"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"{NUMBA_FILE}: Numba cannot read its settings: [^\n]* \(correct the file"):
        check_numba_variables({})


@pytest.mark.parametrize("threads", ["0", "-1", "many", "1.5"])
def test_threads_that_numba_refuses(threads: str) -> None:
    with pytest.raises(ConfigError, match="NUMBA_NUM_THREADS: found"):
        Settings.from_environment({"NUMBA_NUM_THREADS": threads}, config="c")
    assert Settings.from_environment({"NUMBA_NUM_THREADS": "2"}, config="c")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NUMBA_DISABLE_JIT", "1"),
        ("NUMBA_THREADING_LAYER", "opnemp"),
        ("NUMBA_THREADING_LAYER", ""),
        ("NUMBA_THREADING_LAYER_PRIORITY", "omp"),
    ],
)
def test_settings_of_numba_with_which_no_kernel_runs(name: str, value: str) -> None:
    """Numba itself fails when the first kernel starts, after the volume was read."""
    with pytest.raises(ConfigError, match=f"{name}: found '{value}', expected"):
        Settings.from_environment({name: value}, config="c")
    usual = {"NUMBA_DISABLE_JIT": "0", "NUMBA_THREADING_LAYER": "omp"}
    assert Settings.from_environment(usual, config="c")


@pytest.mark.parametrize("threads", ["4097", "99999", "0" * 9 + "9999"])
def test_more_threads_than_a_system_starts(threads: str) -> None:
    with pytest.raises(ConfigError, match=f"NUMBA_NUM_THREADS: found '{threads}', expected .* from 1 to 4096"):
        check_numba_variables({"NUMBA_NUM_THREADS": threads})
    check_numba_variables({"NUMBA_NUM_THREADS": "04096"})


@pytest.mark.parametrize(
    ("name", "features", "message"),
    [
        ("nonsense", "", "NUMBA_CPU_NAME: found 'nonsense', which LLVM does not know, expected a processor such as"),
        ("host", "", "NUMBA_CPU_NAME: found 'host', which LLVM does not know"),
        ("", "avx2", r"NUMBA_CPU_FEATURES: found 'avx2', expected features with \+ or -, such as \+avx2,-fma"),
        ("generic", "+avx2,", r"NUMBA_CPU_FEATURES: found '\+avx2,', expected features"),
        ("generic", "+avx2 -fma", r"NUMBA_CPU_FEATURES: found '\+avx2 -fma', expected features"),
        ("generic", "+", r"NUMBA_CPU_FEATURES: found '\+', expected features"),
        ("generic", "+nonsense", r"NUMBA_CPU_FEATURES: found '\+nonsense', which LLVM does not know for this machine"),
    ],
)
def test_processors_and_features_that_llvm_does_not_know(name: str, features: str, message: str) -> None:
    """LLVM ends the process at a feature without a sign, and writes six lines about an unknown name."""
    with pytest.raises(ConfigError, match=message):
        check_numba_variables({"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features})


def test_processors_and_features_that_llvm_knows() -> None:
    processor, feature = (llvm.get_host_cpu_name(), next(iter(llvm.get_host_cpu_features())))
    for variables in (
        {"NUMBA_CPU_NAME": "", "NUMBA_CPU_FEATURES": ""},
        {"NUMBA_CPU_NAME": "generic"},
        {"NUMBA_CPU_NAME": processor},
        {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": f"+{feature}"},
        {"NUMBA_CPU_FEATURES": llvm.get_host_cpu_features().flatten()},
    ):
        check_numba_variables(variables)


NO_TBB = (
    "NUMBA_THREADING_LAYER: found 'tbb', which needs a library that cannot be loaded: TBB 2021.6 or newer "
    "(libtbb.so.12; Debian and Ubuntu: apt install libtbb12) (leave it unset: results do not depend on it)"
)


class _Libraries:
    """Stands for `ctypes.CDLL` on a machine with these libraries, by the beginning of their names."""

    def __init__(self, **interfaces: int) -> None:
        self._interfaces = interfaces

    def __call__(self, name: str) -> Any:
        interface = next((n for start, n in self._interfaces.items() if Path(name).name.startswith(start)), None)
        if interface is None:
            raise OSError(f"{name}: cannot open shared object file")
        return SimpleNamespace(TBB_runtime_interface_version=lambda: interface)


@pytest.mark.parametrize(
    ("libraries", "layers"),
    [
        ({}, ["default", "forksafe", "workqueue"]),
        ({"libtbb": 12050, "tbbpool": 0}, ["default", "forksafe", "workqueue"]),  # TBB 2021.5
        ({"libtbb": 12060}, ["default", "forksafe", "workqueue"]),  # Numba without its own library
        ({"libtbb": 12060, "tbbpool": 0}, ["default", "forksafe", "safe", "tbb", "threadsafe", "workqueue"]),
        ({"omppool": 0}, ["default", "forksafe", "omp", "threadsafe", "workqueue"]),
    ],
)
def test_layers_and_the_libraries_that_they_need(
    libraries: dict[str, int], layers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", _Libraries(**libraries))
    usable = []
    for layer in ("default", "forksafe", "omp", "safe", "tbb", "threadsafe", "workqueue"):
        try:
            check_numba_variables({"NUMBA_THREADING_LAYER": layer})
        except ConfigError as error:
            assert layer != "tbb" or str(error) == NO_TBB
        else:
            usable.append(layer)
    assert usable == layers


def test_without_numba_the_run_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpu_infer.backends.cpu.numba_variables.find_spec", lambda name: None)
    check_numba_variables({"NUMBA_THREADING_LAYER": "tbb"})


def test_a_place_for_kernels_that_numba_does_not_know(tmp_path: Path) -> None:
    code = "import gpu_infer.backends.cpu.kernels.windows"
    environment = {"PATH": "/usr/bin:/bin", "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_CACHE_LOCATOR_CLASSES": "Nowhere"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    if "Nowhere" not in done.stderr:
        pytest.skip("this Numba has no such setting")
    assert last.startswith("gpu_infer.errors.ConfigError: no place for compiled kernels: ")
    assert last.endswith(
        "(leave NUMBA_CACHE_LOCATOR_CLASSES unset, and set NUMBA_CACHE_DIR to a folder that can be written)"
    )
