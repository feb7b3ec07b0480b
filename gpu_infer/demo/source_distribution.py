"""Download a source distribution from pip's package index, and unpack it without a build."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_infer.demo.package_index import PackageIndex
from gpu_infer.errors import ConfigError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}

Progress = Callable[[int, int | None], None]


class SourceNotFound(Exception):
    """No place has the distribution; the text lists the places and the failure of each."""


def unpack_source(requirement: str, index: PackageIndex, scratch: Path, progress: Progress | None = None) -> Path:
    """Download and unpack a source distribution, from the first place of `index` that has it.

    Args:
        requirement: name and version, "pyradiomics==3.0.1".
        scratch: an existing folder for the archive and its content.
        progress: called with (bytes done, bytes in all or None) during the download.

    Returns:
        Folder of the content, below `scratch`.

    Raises:
        ConfigError: the extra `demo` is not installed.
        SourceNotFound: no place has it, or none answers.
        OSError: the disk is full or cannot be written.
    """
    try:
        from unearth import PackageFinder
        from unearth.fetchers.sync import PyPIClient
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{requirement} cannot be downloaded: {error.name} is not installed",
            remedy='pip install "gpu-infer[demo]"',
        ) from error

    def report(_link: Any, done: int, total: int | None) -> None:
        if progress is not None:
            progress(done, total)

    client = PyPIClient(
        trusted_hosts=index.trusted_hosts,
        verify=index.ssl_context() or True,
        timeout=index.timeout_s,
        follow_redirects=True,
    )
    package = requirement.partition("==")[0]
    options = {"trusted_hosts": index.trusted_hosts, "no_binary": [package], "ignore_compatibility": True}
    places = [{"index_urls": [url]} for url in index.index_urls]
    places += [{"find_links": [link]} for link in index.find_links]
    failures = []
    with client:
        for place in places:
            finder = PackageFinder(client, **place, **options)
            try:
                best = finder.find_best_match(requirement).best
                if best is not None:
                    folder: Path = finder.download_and_unpack(
                        best.link, scratch / "unpacked", scratch / "download", download_reporter=report
                    )
                    return folder
            # Versions of unearth use different HTTP clients, with different classes of errors.
            except Exception as error:
                if isinstance(error, OSError) and error.errno in _DISK:
                    raise
                failures.append(str(error) or type(error).__name__)
    why = f": {'; '.join(failures)}" if failures else ""
    raise SourceNotFound(f"no source distribution of {requirement} at {index.described()}{why}")
