"""Cases by name: a list of files and folders, or a pattern such as `scans/**/*.nii.gz`."""

from __future__ import annotations

import glob
import logging
from collections.abc import Sequence
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.earlier import is_output_folder
from gpu_infer.batch.cases.files import file_cases
from gpu_infer.batch.cases.ids import folder_name, make_id
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.batch.cases.sub_folder import one_case
from gpu_infer.batch.cases.tree import name_some
from gpu_infer.errors import ConfigError, InputError
from gpu_infer.volume.input_files import check_exists, extension, is_archive, is_dicomdir
from gpu_infer.volume.open_input import InputOptions, open_input
from gpu_infer.writers.own_volumes import own_volumes

log = logging.getLogger(__name__)


def is_pattern(text: str) -> bool:
    """Whether `text` has one of the characters * ? ["""
    return glob.has_magic(text)


def glob_cases(pattern: str, options: CaseOptions) -> list[Case]:
    """The cases that fit a pattern, by path; `**` stands for any number of folders. Hidden files do not fit.

    An identifier is the path from the first folder with a wildcard on: of `scans/*/ct.nii.gz`, `a/ct.nii.gz` becomes
    a_ct. A folder that fits is one case; it does not count if a file or folder in it fits, too.

    Raises `InputError` if nothing fits, or if a file that fits is no volume.
    """
    paths = sorted({Path(name) for name in glob.glob(pattern, recursive=True)}, key=str)  # noqa: PTH207  skips hidden files
    above = {folder for path in paths for folder in path.parents}
    paths = [path for path in paths if path not in above]
    if not paths:
        raise InputError(
            f"{pattern}: no file or folder fits this pattern", remedy="check the path, and quote the pattern"
        )
    parts = Path(pattern).parts
    fixed = next(n for n, part in enumerate(parts) if glob.has_magic(part))
    return _cases(paths, options, Path(*parts[:fixed]), pattern)


def list_cases(paths: Sequence[Path], options: CaseOptions) -> list[Case]:
    """The cases that are listed by name, by path; the identifiers are names of files and folders.

    Raises `InputError`.
    """
    for path in paths:
        check_exists(path)
    remedy = "the list" if len(paths) > 1 else str(paths[0])
    return _cases(sorted(set(paths), key=str), options, None, remedy)


def _cases(paths: Sequence[Path], options: CaseOptions, root: Path | None, what: str) -> list[Case]:
    inputs, earlier = _without_outputs(paths, options.output, root)
    if earlier:
        log.info("%s: outputs of earlier runs, no cases: %s", what, name_some(earlier))
    if not inputs:
        raise InputError(
            f"{what}: every file is an output of an earlier run: {name_some(earlier)}", remedy="name the volumes"
        )
    files: list[Path] = []
    cases: list[Case] = []
    for path in inputs:
        if path.is_dir():
            case = one_case(path, options)
            cases.append(case if options.name or root is None else Case(_id(path, root), case.inputs, case.series))
        elif options.patterns:
            raise ConfigError(
                f"{path}: a file, expected folders with the files {', '.join(options.patterns)}",
                remedy="name the folders of the cases, or take `files` out of the configuration's LoadNifti",
            )
        elif is_archive(path) or is_dicomdir(path):
            cases.append(_packed_case(path, options, root))
        elif extension(path) is None:
            raise InputError(f"{path}: no volume by its extension", remedy="narrow the pattern, or leave the file out")
        else:
            files.append(path)
    return sorted([*cases, *file_cases(files, options, root)], key=lambda case: str(case.inputs[0]))


def _without_outputs(paths: Sequence[Path], output: Path, root: Path | None) -> tuple[list[Path], list[Path]]:
    """The paths that are inputs, and those that are outputs of earlier runs.

    root  folder of a pattern; if `output` is in it, all files there are outputs
    """
    inputs, earlier = list[Path](), list[Path]()
    is_inside = root is not None and root.resolve() in output.resolve().parents
    target = output.resolve() if is_inside else None
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    for folder, entries in folders.items():
        if _is_output(folder, target):
            outputs = set(entries)
        else:
            outputs = own_volumes([path for path in entries if extension(path) and path.is_file()])
            outputs |= {path for path in entries if path.is_dir() and _is_output(path, target)}
        inputs += [path for path in entries if path not in outputs]
        earlier += [path for path in entries if path in outputs]
    return inputs, earlier


def _is_output(folder: Path, target: Path | None) -> bool:
    is_below = target is not None and folder.resolve().is_relative_to(target)
    return is_below or is_output_folder(folder, _names(folder))


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError:  # reported when its files are read
        return set()


def _packed_case(path: Path, options: CaseOptions, root: Path | None) -> Case:
    """The case of an archive or a DICOMDIR; its series is chosen in the run, or now if its elements name the case."""
    if options.name is not None:
        with open_input(path, InputOptions(series=options.series, name=options.name)) as header:
            return Case(make_id(header.case_name), (path,))
    return Case(_id(path.parent if is_dicomdir(path) else path.with_suffix(""), root), (path,))


def _id(path: Path, root: Path | None) -> str:
    parts = () if root is None else path.relative_to(root).parts
    return make_id(*(parts or (folder_name(path),)))
