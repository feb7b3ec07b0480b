"""Build a file once for each content of its sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path


def build_once(target: Path, key: str, build: Callable[[Path], None]) -> bool:
    """Call `build` with a temporary path and move its file to `target`, unless `target` has been built for `key`.

    A target that another program, such as pip, has replaced since is built again. Returns whether it was built.
    """
    stamp = target.with_name(f"{target.name}.key")
    if target.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == key_of(key, target):
        return False
    stamp.unlink(missing_ok=True)
    temporary = target.with_name(f".{target.name}.new")
    build(temporary)
    temporary.replace(target)
    stamp.write_text(key_of(key, target), encoding="utf-8")
    return True


def key_of(*parts: str | bytes | Path) -> str:
    """A digest of texts and of files' contents."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
