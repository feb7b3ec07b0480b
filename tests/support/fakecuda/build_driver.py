"""libcuda.so.1: the fake driver, and the CUDA runtime's functions that CuPy's extension links to."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fakecuda import toolchain
from fakecuda.places import DRIVER
from fakecuda.stamps import build_once, key_of

SOURCES = Path(__file__).with_name("driver")
WARNINGS = ("-Wall", "-Wextra")


def build_driver() -> bool:
    """Build the driver unless its sources are unchanged. Returns whether it was built."""
    texts = sorted(path for path in SOURCES.iterdir() if path.suffix in (".cpp", ".hpp", ".c"))
    headers = toolchain.cuda_headers() / "cuda.h"
    return build_once(DRIVER, key_of(*texts, headers, *toolchain.FLAGS, *WARNINGS), _build)


def _build(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as threads:
        sources = sorted(path for path in SOURCES.iterdir() if path.suffix in (".cpp", ".c"))
        objects = [Path(folder) / f"{path.name}.o" for path in sources]
        list(threads.map(_compile, sources, objects))
        libraries = ("-ldl", "-lrt", "-lpthread")
        toolchain.run_compiler("-shared", "-Wl,-soname,libcuda.so.1", *objects, *libraries, "-o", target)


def _compile(source: Path, target: Path) -> None:
    language = ("-x", "c") if source.suffix == ".c" else ("-std=c++17",)
    include = toolchain.cuda_headers()
    toolchain.run_compiler(*WARNINGS, *language, "-I", include, "-c", source, "-o", target)
