"""Put NiiVue, the viewer of the page in the publish folder, into the package when it is built or installed from here.

`npm pack` fetches one exact version, so npm's own configuration decides from which registry. Without npm or a network
the build goes on, and the package writes no pages. `python hatch_build.py` does the same by hand (`make page-asset`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # by hand
    BuildHookInterface = object  # type: ignore[assignment,misc]

PACKAGE = "@niivue/niivue@0.69.0"
SHA512 = "YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA=="
"""Of the package's archive, as its registry has it."""

MEMBER = "package/dist/niivue.umd.js"
MARK = b"/*! NiiVue, BSD-2-Clause: niivue.LICENSE.txt. Copied by gpu_infer. */\n"
"""The first line of the copy, by which a run recognises an older one."""

TARGET = Path(__file__).resolve().parent / "gpu_infer" / "writers" / "page" / "niivue.umd.js"
TIMEOUT_S = 120
WITHOUT = "GPU_INFER_WITHOUT_VIEWER"
"""Set: fetch nothing; for builds whose page nobody will see."""


class CustomBuildHook(BuildHookInterface):  # hatchling looks for a subclass
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get(WITHOUT):
            return
        if reason := fetch():
            self.app.display_warning(f"gpu-infer is built without its page: {reason}")


def fetch(target: Path = TARGET) -> str:
    """Write the viewer to `target`, unless it is there; returns why that was not possible, or an empty text."""
    if target.is_file() and target.read_bytes().startswith(MARK):
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return f"npm is not installed, so {PACKAGE} cannot be fetched"
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--json", "--ignore-scripts", "--fetch-retries=1", PACKAGE]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, encoding="utf-8", timeout=TIMEOUT_S, check=True
            )
            archive = Path(folder) / Path(json.loads(done.stdout)[0]["filename"]).name
            return _unpack(archive, target)
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines()
            return f"npm pack {PACKAGE} failed: {lines[0] if lines else error.returncode}"
        except (OSError, ValueError, LookupError, subprocess.TimeoutExpired, tarfile.TarError) as error:
            return f"npm pack {PACKAGE} failed: {error}"


def _unpack(archive: Path, target: Path) -> str:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != SHA512:
        return f"{PACKAGE}: found an archive with sha512 {digest}, expected {SHA512}"
    with tarfile.open(archive) as tar:
        member = tar.extractfile(MEMBER)
        if member is None:
            return f"{PACKAGE}: no file {MEMBER}"
        temporary = target.with_suffix(".partial")
        temporary.write_bytes(MARK + member.read())
        temporary.replace(target)
    return ""


if __name__ == "__main__":
    reason = fetch()
    print(f"no page: {reason}" if reason else f"viewer of the page: {TARGET}")  # noqa: T201
    sys.exit(bool(reason))
