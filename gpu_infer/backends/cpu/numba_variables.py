"""Check settings of Numba with which no kernel can run; Numba's own errors come after a volume was read.

Numba reads them from variables and from a file in the current folder.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gpu_infer.errors import ConfigError

NUMBA_FILE = ".numba_config.yaml"
"""Numba's own settings, looked for in the current folder."""

NUMBA_VARIABLES = (
    "NUMBA_CPU_FEATURES",
    "NUMBA_CPU_NAME",
    "NUMBA_DISABLE_JIT",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
    "NUMBA_THREADING_LAYER_PRIORITY",
)
"""Those that are checked."""

_MOST_THREADS = 4096  # OpenMP ends the process if the system has no thread left; Linux starts some 30000

_LIBRARIES = ("tbb", "omp", "workqueue")
"""Numba's libraries of threads. It comes with all of them, and the last needs nothing else."""

_LAYERS = {name: (name,) for name in _LIBRARIES} | {
    "default": _LIBRARIES,
    "safe": ("tbb",),
    "threadsafe": ("tbb", "omp"),
    "forksafe": ("tbb", "workqueue"),
}
"""The libraries that Numba tries for each threading layer."""

_NEEDED = {
    "tbb": "TBB 2021.6 or newer (libtbb.so.12; Debian and Ubuntu: apt install libtbb12)",
    "omp": "GNU OpenMP (libgomp.so.1; Debian and Ubuntu: apt install libgomp1)",
}
_LEAST_TBB = 12060  # the interface of TBB 2021.6, with which Numba begins

_KNOWN_CPUS = re.compile(r"generic|x86-64(-v[234])?|")
"""Processors of every LLVM: those of the images, which are not looked up, and none."""

_FEATURES = re.compile(r"([+-][^\s,+-][^\s,]*(,(?!$)|$))*")

_LOOK_UP = """
import sys
sys.path.append(sys.argv[1])
from llvmlite import binding
binding.initialize_native_target()
binding.Target.from_triple(binding.get_process_triple()).create_target_machine(cpu=sys.argv[2], features=sys.argv[3])
"""


def check_numba_variables(environ: Mapping[str, str]) -> None:
    """Raise ConfigError for settings with which no kernel can run."""
    values = _file_values() | dict(environ)
    _check_threads(values)
    if (text := values.get("NUMBA_DISABLE_JIT", "").strip()) and text != "0":
        raise ConfigError(
            f"NUMBA_DISABLE_JIT: found {text!r}, expected 0: kernels are not compiled, and none runs without",
            remedy="leave it unset",
        )
    priority = values.get("NUMBA_THREADING_LAYER_PRIORITY")
    if priority is not None and sorted(priority.split()) != sorted(_LIBRARIES):
        raise ConfigError(
            f"NUMBA_THREADING_LAYER_PRIORITY: found {priority!r}, expected {' '.join(_LIBRARIES)} in any order",
            remedy="leave it unset",
        )
    if (layer := values.get("NUMBA_THREADING_LAYER")) is not None:
        _check_layer(layer)
    _check_processor(values.get("NUMBA_CPU_NAME", ""), values.get("NUMBA_CPU_FEATURES", ""))


def _check_threads(values: Mapping[str, str]) -> None:
    text = values.get("NUMBA_NUM_THREADS", "").strip()
    if text and not (re.fullmatch("0*[1-9][0-9]{0,3}", text) and int(text) <= _MOST_THREADS):
        raise ConfigError(
            f"NUMBA_NUM_THREADS: found {text!r}, expected a whole number from 1 to {_MOST_THREADS}",
            remedy="leave it unset to use every CPU",
        )


def _check_layer(layer: str) -> None:
    libraries = _LAYERS.get(layer.lower())
    if libraries is None:
        raise ConfigError(
            f"NUMBA_THREADING_LAYER: found {layer!r}, expected one of {', '.join(sorted(_LAYERS))}",
            remedy="leave it unset",
        )
    if "workqueue" not in libraries and not any(_is_usable(name) for name in libraries):
        raise ConfigError(
            f"NUMBA_THREADING_LAYER: found {layer!r}, which needs a library that cannot be loaded: "
            f"{' or '.join(_NEEDED[name] for name in libraries)}",
            remedy="leave it unset: results do not depend on it",
        )


def _is_usable(name: str) -> bool:
    """Whether Numba could load its library and what it is linked with. Does not import Numba."""
    from ctypes import CDLL

    package = find_spec("numba")
    if package is None or not package.submodule_search_locations:
        return True  # the run says that Numba is not installed
    try:
        if name == "tbb" and CDLL("libtbb.so.12").TBB_runtime_interface_version() < _LEAST_TBB:
            return False
        folder = Path(package.submodule_search_locations[0])
        CDLL(str(next(folder.glob(f"np/ufunc/{name}pool.*"))))
    except (OSError, AttributeError, StopIteration):
        return False
    return True


def _check_processor(name: str, features: str) -> None:
    if not _FEATURES.fullmatch(features):  # LLVM would end the process
        raise ConfigError(
            f"NUMBA_CPU_FEATURES: found {features!r}, expected features with + or -, such as +avx2,-fma",
            remedy="leave it unset",
        )
    if _KNOWN_CPUS.fullmatch(name) and not features:
        return
    unknown = _unknown_to_llvm(name, features)
    if unknown and unknown == name:
        raise ConfigError(
            f"NUMBA_CPU_NAME: found {name!r}, which LLVM does not know, expected a processor such as x86-64-v3",
            remedy="leave it unset for this machine's",
        )
    if unknown:
        raise ConfigError(
            f"NUMBA_CPU_FEATURES: found {unknown!r}, which LLVM does not know for this machine",
            remedy="leave it unset",
        )


def _unknown_to_llvm(name: str, features: str) -> str:
    """The processor or the feature that LLVM does not know, "" if there is none.

    LLVM writes that to stderr and goes on without it, so that another process asks.
    """
    import subprocess

    package = find_spec("llvmlite")
    if package is None or not package.submodule_search_locations:
        return ""
    folder = str(Path(package.submodule_search_locations[0]).parent)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LOOK_UP, folder, name, features],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except (OSError, ValueError):  # no room for a process, or a null character, which no variable has
        return ""
    match = re.search(r"^'(.*)' is not a recognized (processor|feature) for this target", done.stderr, re.MULTILINE)
    return "" if match is None else match[1]


def _file_values() -> dict[str, str]:
    """The settings in the file by the names of their variables. Without PyYAML, Numba does not read it, either."""
    path = Path(NUMBA_FILE)
    if not path.is_file():
        return {}
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        return {}
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        values = {} if content is None else {f"NUMBA_{key.upper()}": value for key, value in content.items()}
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path.absolute()}: Numba cannot read its settings: {' '.join(str(error).split())}",
            remedy="correct the file or delete it",
        ) from None
    return {name: str(int(value) if isinstance(value, bool) else value) for name, value in values.items()}
