"""Builds dist/gpu-bundle.tar.xz: everything that a GPU host without network needs for gpu_check.sh.

The host is Linux on x86-64 with Python 3.12, an NVIDIA driver and, for that Python, what `EXPECTED` names. The bundle
holds our wheel, the wheels that such a host lacks, NVIDIA's tritonserver reduced to its Python backend for 3.12, the
demo's CT, tests and benches. `--simpleitk` makes the larger second bundle, with what `LARGE` names.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from deploy.gpu_check.bundle_python import PYTHON, PythonMissing, check_python_in, copy_python, find_python
from gpu_infer import __version__
from gpu_infer.demo.volume import fetch_demo_ct
from gpu_infer.triton.local.install import REQUIREMENTS
from gpu_infer.volume.read import read_volume
from gpu_infer.writers.nifti import write_nifti

log = logging.getLogger("gpu_bundle")

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT = 63 << 20
"""Bytes of the first bundle and of the checkout together: a host that is lent for minutes often receives both in
one upload of 64 MiB."""

_NUMERICS = ("cupy", "numpy", "numba", "llvmlite", "scipy", "scikit-image", "pillow", "onnxruntime")
_TESTING = ("pytest", "pytest-timeout", "hypothesis", "pygments")
EXPECTED = frozenset({*_NUMERICS, *_TESTING, "grpcio"})
"""Packages that the host has: large ones, those that must fit its GPU, and their requirements."""

NOT_USED = frozenset({"aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache", "yarl"})
"""Requirements of tritonclient's asynchronous HTTP client, which is not used: neither here nor on the host."""

CLIENT = "tritonclient[grpc,http]==2.68.0"
"""Its generated code accepts the host's gRPC from 1.67.1 on; the newest clients refuse all before 1.81. No version that
gpu_infer accepts requires less than 1.67; from 2.67 on they accept the bundled protobuf 6."""

LARGE = frozenset({"simpleitk", "pydicom", "isal"})
"""In the second bundle only: DICOM and compressed label maps."""

TRITON = REQUIREMENTS[0]
CUCIM = "cucim-cu13>=25.10"
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
_EXAMPLES = ("examples/own_inferer", "examples/own_writer")
"""Those that a test marked gpu imports."""
_TRACKED = ("tests", "bench", "deploy/gpu_check", *_EXAMPLES, "pyproject.toml", "kernels/common.cuh")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simpleitk", action="store_true", help="with the large wheels: gpu-bundle-simpleitk.tar.xz")
    parser.add_argument("--without-python", action="store_true", help="for hosts that have libpython3.12.so.1.0")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "dist", help="where the archive goes")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    name = "gpu-bundle-simpleitk" if arguments.simpleitk else "gpu-bundle"
    try:
        python = None if arguments.without_python else find_python()  # first: the rest takes minutes
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch, "gpu-bundle")
            root.mkdir()
            add_wheels(root / "wheels", Path(scratch, "downloads"), simpleitk=arguments.simpleitk)
            add_cucim(root / "packages", Path(scratch, "downloads"))
            add_triton(root / "triton", Path(scratch, "downloads"))
            if python is not None:
                copy_python(python, root / "python")
            add_checkout(root)
            shutil.copy2(CHECKOUT / "deploy/gpu_check/gpu_check.sh", root)
            add_ct(root / "input")
            write_manifest(root)
            archive = pack(root, arguments.folder / f"{name}.tar.xz", with_python=python is not None)
    except PythonMissing as error:
        log.error("%s", error)
        return 1
    size, checkout = archive.stat().st_size, checkout_bytes(CHECKOUT)
    log.info("%s: %.1f MiB, the checkout %.1f MiB", archive, size / 2**20, checkout / 2**20)
    if not arguments.simpleitk and (problem := oversize(size, checkout)) is not None:
        log.error("%s", problem)
        return 1
    return 0


def oversize(archive_bytes: int, checkout_bytes: int) -> str | None:
    """One line if archive and checkout are larger than LIMIT together, else None."""
    total = archive_bytes + checkout_bytes
    if total <= LIMIT:
        return None
    return (
        f"archive {archive_bytes / 2**20:.2f} MiB + files of the checkout that git does not ignore "
        f"{checkout_bytes / 2**20:.2f} MiB = {total / 2**20:.2f} MiB, more than {LIMIT >> 20} MiB: "
        "delete large untracked files, or leave wheels out (EXPECTED)"
    )


def checkout_bytes(checkout: Path) -> int:
    """Bytes of the files that git tracks or would add."""
    files = (checkout / name for name in listed(checkout))
    return sum(path.lstat().st_size for path in files if path.is_symlink() or path.is_file())


def listed(checkout: Path, *paths: str) -> list[str]:
    """Names of the files, below `paths` alone if there are any, that git tracks or does not ignore."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z", *paths]
    answer = subprocess.run(command, cwd=checkout, capture_output=True, encoding="utf-8", errors="replace", check=True)
    return list(filter(None, answer.stdout.split("\0")))


def add_wheels(folder: Path, downloads: Path, *, simpleitk: bool) -> None:
    """Our wheel and its requirements, without those `EXPECTED` on the host (and without `LARGE`)."""
    (ours,) = build_wheel(folder, downloads.parent / "sources")
    target = ["--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp", "--platform=any"]
    target += [f"--platform={name}_x86_64" for name in _PLATFORMS]
    report = downloads / "report.json"
    downloads.mkdir()
    resolve = ["install", "--dry-run", "--quiet", "--ignore-installed", f"--report={report}", f"--target={downloads}"]
    _run("-m", "pip", *resolve, *target, ours, CLIENT)
    excluded = EXPECTED | NOT_USED | (set() if simpleitk else LARGE)
    pinned = []
    for item in json.loads(report.read_text(encoding="utf-8"))["install"]:
        name, version = item["metadata"]["name"].lower().replace("_", "-"), item["metadata"]["version"]
        if name not in excluded | {"gpu-infer"}:
            pinned.append(f"{name}=={version}")
    _run("-m", "pip", "download", "--quiet", "--no-deps", f"--dest={folder}", *target, *pinned)
    for wheel in folder.glob("*.whl"):
        store_uncompressed(wheel)


def store_uncompressed(wheel: Path) -> None:
    """Write the files of a wheel without compression: xz makes them smaller than zip does, all of them together."""
    with zipfile.ZipFile(wheel) as archive:
        files = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        for info, content in files:
            info.compress_type = zipfile.ZIP_STORED
            archive.writestr(info, content)


def build_wheel(folder: Path, sources: Path) -> list[Path]:
    """Our wheel, built from a copy of the checkout in `sources`, without the viewer of pages, which nobody sees."""
    for name in listed(CHECKOUT):
        if (CHECKOUT / name).is_file():
            (sources / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, sources / name, follow_symlinks=False)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(sources)]
    subprocess.run(command, check=True, env={**os.environ, "GPU_INFER_WITHOUT_VIEWER": "1"})
    return list(folder.glob("gpu_infer-*.whl"))


def add_cucim(folder: Path, downloads: Path) -> None:
    """cuCIM's functions on CuPy arrays, for comparison, without its image reader, which is most of the wheel."""
    _run("-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", f"--python-version={PYTHON}",
         "--platform=manylinux_2_28_x86_64", f"--dest={downloads}", CUCIM)  # fmt: skip
    (wheel,) = downloads.glob("cucim_*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            reader = name.startswith("cucim/clara/") and name != "cucim/clara/__init__.py"
            if not (reader or ".libs/" in name or "/tests/" in name or name.endswith((".so", "RECORD"))):
                archive.extract(name, folder)


def add_triton(folder: Path, downloads: Path) -> None:
    """NVIDIA's wheel without pytriton itself, the stubs of other Pythons and the local cache."""
    _run("-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.12",
         "--platform=manylinux_2_35_x86_64", f"--dest={downloads}", TRITON)  # fmt: skip
    (wheel,) = downloads.glob("nvidia_pytriton-*.whl")
    server = "pytriton/tritonserver/"
    stub = f"{server}python_backend_stubs/{PYTHON}/triton_python_backend_stub"
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            library = name.startswith("nvidia_pytriton.libs/") and "libpython" not in name
            part = name == stub or name.startswith((f"{server}bin/", f"{server}backends/"))
            if library or part or name.endswith(("LICENSE", "NOTICE", "METADATA")):
                archive.extract(name, folder)
    placed = folder / server / "backends/python/triton_python_backend_stub"
    shutil.move(folder / stub, placed)
    shutil.rmtree(folder / server / "python_backend_stubs")
    for program in (placed, folder / server / "bin/tritonserver"):
        program.chmod(0o755)


def add_checkout(root: Path) -> None:
    """Tests and benches as committed or changed, with links as links, without what git ignores."""
    for name in listed(CHECKOUT, *_TRACKED):
        source, target = CHECKOUT / name, root / name
        if not source.exists() or not is_used_on_gpu_host(source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)


def is_used_on_gpu_host(path: Path) -> bool:
    """False for pictures, and for tests that need no GPU, which the check does not run."""
    if path.name.startswith("test_") and path.suffix == ".py":
        return "mark.gpu" in path.read_text(encoding="utf-8")
    return path.suffix != ".png"


def add_ct(folder: Path) -> None:
    """The demo's CT, uncompressed: the archive compresses it better."""
    folder.mkdir()
    write_nifti(read_volume(fetch_demo_ct()), folder, "lung2_image.nii")


def write_manifest(root: Path) -> None:
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=CHECKOUT,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    files = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
    manifest = {
        "gpu_infer": __version__,
        "revision": revision.stdout.strip() or None,
        "python": PYTHON,
        "requirements": list(REQUIREMENTS),
        "expected": sorted(EXPECTED),
        "files": files,
    }
    (root / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def pack(root: Path, archive: Path, *, with_python: bool) -> Path:
    """Write the archive, under its name only after it is complete.

    Raises:
        PythonMissing: the archive lacks the shared Python.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".part")
    try:
        with lzma.open(partial, "wb", preset=9) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
            tar.add(root, root.name, filter=_anonymous)
        if with_python:
            check_python_in(partial, root.name)
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)
    return archive


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _run(*arguments: object) -> None:
    subprocess.run([sys.executable, *map(str, arguments)], check=True)


if __name__ == "__main__":
    sys.exit(main())
