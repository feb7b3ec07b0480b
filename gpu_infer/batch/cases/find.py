"""Find the cases of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.folder import folder_cases
from gpu_infer.batch.cases.glob import glob_cases, is_pattern, list_cases
from gpu_infer.batch.cases.ids import check_ids
from gpu_infer.batch.cases.options import CaseOptions, case_options
from gpu_infer.batch.cases.table import is_table, table_cases
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.settings import Settings
from gpu_infer.volume.input_files import check_exists, extension

Source = str | Path
"""A folder, a file, a table or a pattern."""


def find_cases(source: Source | Sequence[Source], settings: Settings) -> list[Case]:
    """The cases of a batch: identifiers are unique, the order depends on names alone, and paths are absolute.

    Args:
        source: a folder, a pattern with `*`, a table (.csv), a volume; or several files and folders, as a shell makes
            them of a pattern. See `folder_cases`, `glob_cases` and `table_cases`.
        settings: those of the batch: `output`, `config`, `series` (a rule) and `name` count.

    Raises:
        InputError: there is no case, or it is ambiguous what one is; the error names the file.
        ConfigError: the options contradict each other or the files.
    """
    return find(source, case_options(settings))


def find(source: Source | Sequence[Source], options: CaseOptions) -> list[Case]:
    """As `find_cases`."""
    cases = [
        replace(
            case,
            inputs=tuple(path.absolute() for path in case.inputs),
            slices=tuple(path.absolute() for path in case.slices),
        )
        for case in _cases(source, options)
    ]
    check_ids(cases)
    _check_channels(cases)
    if options.by_option:
        _check_series(cases)
    _check_folders(cases, options.output.absolute())
    return cases


def _cases(source: Source | Sequence[Source], options: CaseOptions) -> list[Case]:
    sources = [source] if isinstance(source, str | Path) else list(source)
    if not sources or not all(str(each).strip() for each in sources):
        raise ConfigError("--input: found an empty path", remedy="give a folder, a quoted pattern or a .csv")
    if len(sources) > 1:
        if table := next((each for each in sources if is_table(Path(each))), None):
            raise InputError(f"{table}: a table among {len(sources)} inputs", remedy="give the table alone")
        return list_cases([Path(each) for each in sources], options)
    path = Path(sources[0])
    if is_pattern(str(path)) and not path.exists():
        return glob_cases(str(path), options)
    check_exists(path)
    if path.is_dir():
        return folder_cases(path, options)
    return table_cases(path, options) if is_table(path) else list_cases([path], options)


def _check_channels(cases: Sequence[Case]) -> None:
    """Refuse cases that differ in their number of inputs: one model takes all of them."""
    first = cases[0]
    if other := next((case for case in cases if len(case.inputs) != len(first.inputs)), None):
        raise InputError(
            f"case {other.id} has {len(other.inputs)} inputs and case {first.id} {len(first.inputs)}, expected the same"
            " channels in all cases",
            remedy="add the missing files, or make two batches",
        )


def _check_series(cases: Sequence[Case]) -> None:
    for case in cases:
        if len(case.inputs) > 1 or (not case.inputs[0].is_dir() and extension(case.inputs[0]) is not None):
            raise InputError(
                f"{case.inputs[0]}: --series chooses from DICOM studies, found a volume file",
                remedy="leave --series out, or give DICOM studies only",
            )


def _check_folders(cases: Sequence[Case], output: Path) -> None:
    """Refuse a case whose outputs would be next to an input, which a later batch would take for an output."""
    target = output.resolve()
    parents = {path.parent: path.parent.resolve() for case in cases for path in case.inputs}
    if not any(parent.is_relative_to(target) for parent in parents.values()):
        return
    above: dict[Path, Path] = {}
    for case in cases:
        for path in case.inputs:
            resolved = parents[path.parent] / path.name
            above |= dict.fromkeys((resolved, *resolved.parents), path)
    for case in cases:
        if (input_below := above.get(target / case.id)) is not None:
            raise ConfigError(
                f"{output / case.id}: the folder of the outputs of case {case.id} contains the input {input_below}",
                remedy="give another folder with --output",
            )
