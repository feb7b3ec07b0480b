"""A table of cases: a .csv with the columns `id,input`, and further ones for the files of further channels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.ids import id_problem
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.files import file_size, open_regular
from gpu_infer.volume.input_files import extension, is_archive, is_dicomdir

EXTENSIONS = (".csv", ".tsv")
COLUMNS = ("id", "input")
DELIMITERS = (",", ";", "\t")

_EXPECTED = "expected the columns id,input with commas, semicolons or tabs between them"
_EXAMPLE = "begin the file with the line id,input"
_LISTED = 5
_LIMIT = 1 << 28  # bytes; a million cases take less


def is_table(path: Path) -> bool:
    """Whether `path` is a table by its extension."""
    return path.suffix.lower() in EXTENSIONS and not path.is_dir()


def table_cases(path: Path, options: CaseOptions) -> list[Case]:
    """The cases of a table, in its order.

    The first line has the names of the columns: id, input, and any name for each further channel. Relative paths begin
    at the table's folder; empty lines do not count. Text is UTF-8, with or without a byte order mark.

    Raises:
        InputError: a line is malformed, an identifier cannot be used or is there twice, or files are missing.
        ConfigError: the options contradict a table.
    """
    if options.name is not None:
        raise ConfigError(f"--name contradicts {path}, which has the identifiers", remedy="leave one of the two out")
    rows = _rows(path)
    line, header = next(rows, (1, []))
    names = [cell.strip().casefold() for cell in header]
    if tuple(names[:2]) != COLUMNS:
        raise InputError(f"{path}:{line}: found {','.join(header)[:80]!r}, {_EXPECTED}", remedy=_EXAMPLE)
    if len(set(names)) != len(names) or not all(names):
        raise InputError(
            f"{path}:{line}: found the columns {','.join(header)[:80]!r}, expected a different name for each",
            remedy="write for example id,input,channel2",
        )
    if options.patterns and len(names) > 2:
        raise ConfigError(
            f"{path}: {len(names) - 1} inputs of a case contradict LoadNifti's `files`",
            remedy="give the folder of each case, or take `files` out of the configuration",
        )
    cases, lines = [], dict[str, int]()
    for line, cells in rows:
        case = _case(f"{path}:{line}", cells, len(names), path.parent)
        if (first := lines.setdefault(case.id.casefold(), line)) != line:
            raise InputError(
                f"{path}:{line}: the case {case.id} is in line {first}, too",
                remedy="give each case an id of its own, not by upper and lower case alone",
            )
        cases.append(case)
    if not cases:
        raise InputError(f"{path}: no case below the header", remedy="add a line for each case")
    _check_inputs(path, cases, options)
    return cases


def _case(place: str, cells: list[str], columns: int, folder: Path) -> Case:
    if len(cells) != columns:
        raise InputError(
            f"{place}: {len(cells)} cells, expected {columns} as in the header",
            remedy="put a path with a delimiter in it into double quotes",
        )
    name, *inputs = (cell.strip() for cell in cells)
    if (problem := id_problem(name)) is not None:
        raise InputError(f"{place}: id {name[:80]!r}: {problem}", remedy="write another id")
    if not all(inputs):
        raise InputError(f"{place}: the case {name} has an empty cell, expected a path", remedy="add the path")
    return Case(name, tuple(folder / cell for cell in inputs))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is not empty, the header first; the header decides the delimiter."""
    if (size := file_size(path)) > _LIMIT:
        raise InputError(f"{path}: {size >> 20} MiB, expected a table of cases", remedy="split it")
    with open_regular(path) as file:
        data = file.readall()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: no UTF-8 text", remedy="save the table as CSV UTF-8") from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = next((each for each in DELIMITERS if _begins(first, each)), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}", remedy="close every double quote") from None


def _begins(line: str, delimiter: str) -> bool:
    cells = [cell.strip().strip('"').strip().casefold() for cell in line.split(delimiter)]
    return tuple(cells[:2]) == COLUMNS


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _check_inputs(path: Path, cases: list[Case], options: CaseOptions) -> None:
    """Refuse missing files, and files that no reader takes; the first few are listed."""
    missing = [file for case in cases for file in case.inputs if not _exists(file)]
    if missing:
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise InputError(
            f"{path}: {len(missing)} inputs do not exist: {', '.join(map(str, missing[:_LISTED]))}{more}",
            remedy="relative paths begin at the folder of the table",
        )
    for case in cases:
        for file in case.inputs:
            if file.is_dir():
                continue
            if options.patterns:
                raise ConfigError(
                    f"{path}: case {case.id}: {file} is a file, expected a folder with the files "
                    f"{', '.join(options.patterns)}",
                    remedy="give the folder of each case, or take `files` out of the configuration's LoadNifti",
                )
            if extension(file) is None and not (is_archive(file) or is_dicomdir(file)):
                raise InputError(f"{path}: case {case.id}: {file}: no volume by its extension", remedy="convert it")
