"""Channels in files of their own, as nnU-Net names them: `case_0000.nii.gz`, `case_0001.nii.gz`, …"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpu_infer.errors import InputError
from gpu_infer.volume.input_files import base_name

MOST_CHANNELS = 32
"""Files of one case; more are numbered cases rather than channels."""

_NUMBERED = re.compile(r"(.+)_([0-9]{4})", re.DOTALL)
_LISTED = 5


def has_channels(files: Iterable[Path]) -> bool:
    """Whether files are named `<case>_<channel>`: all of them, and one is channel 0000.

    Raises `InputError`, which lists the other files, if there is a channel 0000 and not all have a number.
    """
    parts = {file: _NUMBERED.fullmatch(base_name(file)) for file in files}
    if not any(match and match[2] == "0000" for match in parts.values()):
        return False
    if others := [file for file, match in parts.items() if match is None]:
        first = next(file for file, match in parts.items() if match and match[2] == "0000")
        raise InputError(
            f"{first}: is named like channel 0000 of a case, but {_list(others)} without a channel, expected"
            " _0000, _0001, … at the end of every name or of none",
            remedy="move the other files away, or give a table: a .csv with the columns id,input",
        )
    return True


def group_channels(files: Iterable[Path]) -> dict[Path, list[Path]]:
    """The files of each case, channel 0000 first, by the path of the case without channel and extension; sorted.

    The files are those of `has_channels`. Raises `InputError` for a missing or doubled channel, and if cases differ in
    their number of channels.
    """
    cases: dict[Path, dict[int, Path]] = {}
    for file in sorted(files, key=str):
        match = _NUMBERED.fullmatch(base_name(file))
        assert match is not None
        channels, number = cases.setdefault(file.with_name(match[1]), {}), int(match[2])
        if number in channels:
            raise InputError(
                f"{file}: channel {number:04d} of {match[1]} is {channels[number].name} too, expected one file",
                remedy="move one of the two away",
            )
        channels[number] = file
    most = max(max(channels) for channels in cases.values()) + 1
    for case, channels in cases.items():
        if missing := [number for number in range(min(most, MOST_CHANNELS)) if number not in channels]:
            raise InputError(
                f"{case}: channel {missing[0]:04d} is missing, expected {case.name}_0000 to {case.name}_{most - 1:04d}"
                " as other files have these numbers",
                remedy="add the file, or take the case out of the folder",
            )
        if most > MOST_CHANNELS:
            raise InputError(
                f"{case}: {most} files from {case.name}_0000 on, expected at most {MOST_CHANNELS} channels of one case",
                remedy="if each is a case, give a table: a .csv with the columns id,input",
            )
    return {case: [channels[number] for number in range(most)] for case, channels in cases.items()}


def _list(files: Sequence[Path]) -> str:
    names = ", ".join(file.name for file in files[:_LISTED])
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return f"{names}{more} {'is' if len(files) == 1 else 'are'}"
