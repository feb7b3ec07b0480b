"""Paths of the JSON of a call of the GPU check and of its packed logs, named by the call's part."""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

TAIL_BYTES = 1 << 20
"""Packed of each file: a log's end has the reason of a failure."""
ARCHIVE_BYTES = 15 << 20
"""Hosts that are lent for minutes return files under 16 MiB."""


def results_file(results: Path, part: int | None) -> Path:
    """The JSON of a call: `results` if it ends in .json, else gpu_check.json in that folder; part 2 adds `-2`.

    Therefore calls of different parts never write the same file.
    """
    path = results if results.suffix == ".json" else results / "gpu_check.json"
    return path if part is None else path.with_name(f"{path.stem}-{part}{path.suffix}")


def logs_file(json_file: Path) -> Path:
    return json_file.with_name(f"{json_file.stem}-logs.tgz")


def pack_logs(work: Path, bundle: Path, archive: Path, *, limit: int = ARCHIVE_BYTES, tail: int = TAIL_BYTES) -> Path:
    """Logs, test report, the runs' reports and the benches' results in one archive of at most `limit` bytes.

    Only the end of a longer file is packed; its size is halved until the archive is small enough.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    while True:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as tar:
            for path, name in _files(work, bundle):
                data = path.read_bytes()
                if len(data) > tail and path.suffix != ".png":
                    data = b"(the beginning is left out)\n" + data[-tail:]
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(data), int(path.stat().st_mtime)
                tar.addfile(info, io.BytesIO(data))
        if content.tell() <= limit or tail < 1024:
            break
        tail //= 2
    archive.write_bytes(content.getvalue())
    return archive


def _files(work: Path, bundle: Path) -> Iterator[tuple[Path, str]]:
    unpacked = (bundle / "manifest.json").stat().st_ctime  # older results are the bundle's own
    patterns = ((work, "logs/*"), (work, "tests.xml"), (work, "job/*/logs/*"), (work, "bench/*"))
    for folder, pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and path.stat().st_mtime >= unpacked:
                yield path, str(path.relative_to(folder))


def main() -> None:
    """Pack the logs of a call; gpu_check.sh calls this however the check ends."""
    parser = argparse.ArgumentParser(prog="python -m deploy.gpu_check.results", description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--part", type=int)
    arguments = parser.parse_args()
    archive = logs_file(results_file(arguments.results, arguments.part))
    pack_logs(arguments.work, Path(__file__).resolve().parents[2], archive)
    sys.stdout.write(f"gpu_check: logs in {archive}\n")


if __name__ == "__main__":
    main()
