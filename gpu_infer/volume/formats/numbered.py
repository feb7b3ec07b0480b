"""Names of numbered data files, from a printf pattern. It is not passed to printf, because it comes from the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from gpu_infer.errors import InputError

_NUMBER = re.compile(r"%(0?[1-9])?d")
_WHOLE = re.compile(r"[0-9]{1,9}")


def numbered_names(
    words: Sequence[str], wrong: Callable[[str], InputError], header: Path, count: int | None = None
) -> list[str]:
    """Return the names that `pattern [first [last [step]]]` makes, one for each number.

    Args:
        words: pattern, first, last and step.
        wrong: makes an error of what the pattern should be.
        header: file with the pattern; the data files are in its folder.
        count: expected number of names, and the default of `last`; None if the words have first, last and step.

    Raises what `wrong` returns, and `InputError` for the first file that is missing, so that an absurd number of files
    is never listed.
    """
    pattern, *numbers = words
    if len(numbers) > 3 or not all(_WHOLE.fullmatch(word) for word in numbers):
        raise wrong("a pattern and at most three whole numbers: first, last, step")
    first = int(numbers[0]) if numbers else 1
    last = int(numbers[1]) if len(numbers) > 1 else first + (count or 1) - 1
    step = int(numbers[2]) if len(numbers) > 2 else 1
    conversions = _NUMBER.findall(pattern)
    if len(conversions) != 1 or pattern.count("%") != 1:
        raise wrong("one %d or %03d in the pattern")
    if step < 1:
        raise wrong("a step of at least 1")
    steps = range(first, last + 1, step)
    if count is not None and len(steps) != count:
        raise wrong(f"{count} numbers, one for each slice")
    head, _, tail = _NUMBER.split(pattern)
    fill, width = "0" if conversions[0].startswith("0") else "", conversions[0].lstrip("0")
    names = []
    for number in steps:
        name = f"{head}{number:{fill}{width}d}{tail}"
        if not name_exists(header.parent / name):
            raise InputError(
                f"{header}: data file {name[:200]} not found in {header.parent}",
                remedy="copy the header together with its data files",
            )
        names.append(name)
    return names


def name_exists(path: Path) -> bool:
    """Whether a file of this name exists; False for a name that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
