"""sha256 of an input, in a thread."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpu_infer.errors import GpuInferError
from gpu_infer.volume.file_state import FileState, check_unchanged

_BLOCK = 1 << 22


class FileHash(threading.Thread):
    """sha256 over the bytes of the files in order; hashing releases the interpreter lock, so it costs no wall time.

    states  of the files when they were read; a file that has another one now is not what was segmented
    """

    def __init__(self, files: Sequence[Path], states: Mapping[Path, FileState]) -> None:
        super().__init__(daemon=True, name="input-hash")
        self._files, self._states = files, states
        self._digest: str | None = None

    def run(self) -> None:
        digest = hashlib.sha256()
        try:
            for path in self._files:
                with path.open("rb") as stream:
                    while block := stream.read(_BLOCK):
                        digest.update(block)
            check_unchanged(self._states)
        except (OSError, ValueError, GpuInferError):  # ValueError: a name with a null byte, in a damaged report
            return
        self._digest = digest.hexdigest()

    def digest(self, *, wait: bool) -> str | None:
        """The hexadecimal digest; None if it is not known yet, or if a file has changed or disappeared."""
        if wait:
            self.join()
        return self._digest
