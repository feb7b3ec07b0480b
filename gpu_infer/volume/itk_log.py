"""What ITK says while it reads: warnings collected instead of printed, errors cut to what matters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import SimpleITK as sitk

_WHERE = re.compile(r"(WARNING: In [^\n]*\n|Exception thrown in [^\n]*\n|\w*::?ERROR: |ITK ERROR: )")
_OBJECT = re.compile(r"^\w+ ?\(0x[0-9a-f]+\): ")


class _Collector(sitk.LoggerBase):  # type: ignore[misc]
    def __init__(self, notes: list[str]) -> None:
        super().__init__()
        self._notes = notes

    def DisplayText(self, text: str) -> None:  # noqa: N802 - SimpleITK's name
        self._add(text)

    def DisplayErrorText(self, text: str) -> None:  # noqa: N802
        self._add(text)

    def DisplayWarningText(self, text: str) -> None:  # noqa: N802
        self._add(text)

    def DisplayGenericOutputText(self, text: str) -> None:  # noqa: N802
        self._add(text)

    def DisplayDebugText(self, text: str) -> None:  # noqa: N802
        """Not asked for."""

    def _add(self, text: str) -> None:
        line = itk_reason(text)
        if line and line not in self._notes:
            self._notes.append(line)


@contextmanager
def collected(notes: list[str]) -> Iterator[None]:
    """Put every distinct ITK warning of the block into `notes`, one line each, nothing on the terminal."""
    collector = _Collector(notes)
    before: Any = collector.SetAsGlobalITKLogger()
    try:
        yield
    finally:
        before.SetAsGlobalITKLogger()


def itk_reason(text: object) -> str:
    """One line without source positions and object addresses."""
    kept = _WHERE.sub("", str(text)).strip()
    return " ".join(_OBJECT.sub("", kept).split())
