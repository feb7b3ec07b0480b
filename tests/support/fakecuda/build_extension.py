"""CuPy's own `cupy_backends.cuda.api.runtime`, linked to the fake driver in place of NVIDIA's runtime.

CuPy's wheel links the runtime into this one extension, which is why this one is built again, from the source of the
same version. Everything else of CuPy stays as it was installed.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import Cython  # type: ignore[import-untyped]
import numpy as np
from fakecuda import toolchain
from fakecuda.places import DRIVER, FOLDER
from fakecuda.stamps import build_once, key_of

from gpu_infer.demo.package_index import PackageIndex
from gpu_infer.demo.source_distribution import unpack_source

WHEEL = "cupy-cuda13x"
CUDA = 13000
MODULE = "cupy_backends.cuda.api.runtime"

# as CuPy's own build has them
DIRECTIVES = {"c_api_binop_methods": True, "binding": False, "freethreading_compatible": True}
CONSTANTS = {
    "CUPY_CUDA_VERSION": CUDA,
    "CUPY_HIP_VERSION": 0,
    "CUPY_USE_CUDA_PYTHON": False,
    "CUPY_CUFFT_STATIC": False,
    "CUPY_CYTHON_VERSION": repr(Cython.__version__),
}


def build_extension() -> bool:
    """Build the extension into CuPy's installed package, if it is not the one of these versions.

    Returns whether it was built. The driver has to be there to be linked to. SourceNotFound if there is no index that
    has CuPy's source.
    """
    version = metadata.version(WHEEL)
    recipe = (version, str(CONSTANTS), str(DIRECTIVES), np.__version__, *toolchain.FLAGS, Path(__file__).read_bytes())
    path = _installed()
    return build_once(path, key_of(*recipe), lambda target: _build(version, target))


def _installed() -> Path:
    spec = find_spec("cupy_backends")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "cuda/api" / f"runtime{sysconfig.get_config_var('EXT_SUFFIX')}"


def _build(version: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        source = unpack_source(f"cupy=={version}", PackageIndex.from_pip(), Path(scratch))
        compiled = Path(scratch) / "runtime.o"
        headers = (sysconfig.get_path("include"), np.get_include(), toolchain.cuda_headers(), source / "cupy_backends")
        includes = [option for folder in headers for option in ("-I", folder)]
        options = ("-std=c++17", f"-DCUPY_CUDA_VERSION={CUDA}", *includes)
        toolchain.run_compiler(*options, "-c", _translate(source), "-o", compiled)
        driver = (f"-L{FOLDER}", f"-l:{DRIVER.name}", f"-Wl,-rpath,{FOLDER}")
        toolchain.run_compiler("-shared", compiled, *driver, "-o", target)


def _translate(source: Path) -> Path:
    """The C++ file that Cython makes of the module in CuPy's source tree."""
    path = Path(MODULE.replace(".", "/"))
    options = [f"--directive={name}={value}" for name, value in DIRECTIVES.items()]
    options += [option for name, value in CONSTANTS.items() for option in ("-E", f"{name}={value}")]
    command = [sys.executable, "-m", "cython", "-3", "--cplus", *options, str(path.with_suffix(".pyx"))]
    done = subprocess.run(command, cwd=source, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"Cython failed on {path}.pyx:\n{done.stdout}{done.stderr}")
    return source / path.with_suffix(".cpp")
