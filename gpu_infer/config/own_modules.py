"""Import the module of a custom component: from folders of the configuration, or from PYTHONPATH."""

from __future__ import annotations

import importlib
import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from gpu_infer.config.location import Place, nearest
from gpu_infer.config.monai_names import monai_hint
from gpu_infer.errors import Interrupted
from gpu_infer.redaction import Expanded, template

log = logging.getLogger(__name__)

_CLARA = ("ai4med", "medical", "nvmidl", "aiaa", "medl")
"""Packages of Clara Train, from which its custom components are derived."""


def import_own(path: str, place: Place, folders: Sequence[Path]) -> object:
    """The object at a dotted path `package.module.Class`.

    The first of `folders` that has the module's file counts, before PYTHONPATH. A folder stays at the end of
    `sys.path`, so that the module can import its neighbours later.

    Raises ConfigError: which file was looked for and where, or the line of a mistake in the module. For a path with
    values of environment variables, the message has the names of the variables instead.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        raise place.expected('a dotted name such as "package.module.Class"', path)
    hidden = isinstance(path, Expanded)
    if not hidden and module_name.partition(".")[0] == "monai" and _file(module_name, folders)[0] is None:
        raise place.error(f'"{path}" is a component of MONAI, which is not run here{monai_hint(name)}')
    try:
        module = _import(module_name, place, folders)
    except (Interrupted, KeyboardInterrupt):
        raise
    except BaseException as error:  # a module that calls sys.exit must not end this program
        if isinstance(error, _FoundElsewhereError):
            reason, remedy = str(error), "give one of the two another name"
        else:
            reason, remedy = _failure(error, module_name, folders)
        if hidden:  # an import error repeats parts of the name
            module_name, reason = str(template(path)), type(error).__name__
        raise place.error(f'cannot import "{module_name}": {reason}', remedy) from error
    component = getattr(module, name, None)
    if component is None and hidden:
        raise place.error(f'"{template(path)}" names no class of its module')
    if component is None:
        where = f" ({module.__file__})" if module.__file__ else ""
        raise place.error(f'module "{module_name}"{where} has no "{name}"{nearest(name, dir(module))}')
    return component


_added: list[Path] = []
"""Folders of configurations at the end of `sys.path`."""


class _FoundElsewhereError(ImportError):
    pass


def _import(name: str, place: Place, folders: Sequence[Path]) -> ModuleType:
    file, folder = _file(name, folders)
    if file is None or folder is None or name.startswith("gpu_infer."):  # a checkout may be the parent folder
        return _import_elsewhere(name)
    entry = str(folder)
    sys.path.insert(0, entry)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = sys.modules.get(name.partition(".")[0])
        if package is None or not _is_part(error.name, name):
            raise
        origin = package.__file__ or ", ".join(package.__path__)
        raise _FoundElsewhereError(f"{origin} of that name is loaded already, expected {file}") from None
    finally:
        sys.path.remove(entry)
        if entry not in sys.path:
            sys.path.append(entry)
            _added.append(folder)
    loaded = Path(module.__file__ or "").resolve()
    if loaded != file.resolve():
        raise _FoundElsewhereError(f"{loaded} of that name is loaded already, expected {file}")
    log.debug("%s: %s: %s is imported from %s", place.file, place.path, name, file)
    return module


def _import_elsewhere(name: str) -> ModuleType:
    """Import a module from PYTHONPATH, but not from the folder of another configuration."""
    others = [folder for folder in _added if str(folder) in sys.path]
    theirs, _ = _file(name, others)
    if theirs is not None and theirs == Path(getattr(sys.modules.get(name), "__file__", None) or ""):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    for folder in others:
        sys.path.remove(str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.extend(map(str, others))


def _file(name: str, folders: Sequence[Path]) -> tuple[Path | None, Path | None]:
    """The file of a module and the folder of `folders` that has it, None if none has it."""
    for folder in folders:
        base = folder.joinpath(*name.split("."))
        for file in (base.with_suffix(".py"), base / "__init__.py"):
            if file.is_file():
                return file, folder
    return None, None


def _failure(error: BaseException, module_name: str, folders: Sequence[Path]) -> tuple[str, str]:
    """Why a module could not be imported, with file and line of a mistake in its code; and the remedy."""
    if isinstance(error, ModuleNotFoundError):
        if _file(module_name, folders)[0] is None and _is_part(error.name, module_name):
            file = f"{module_name.replace('.', '/')}.py"
            where = " or ".join([*(f"in {folder}" for folder in folders if folder.is_dir()), "on PYTHONPATH"])
            return f"no {file} {where}", "put it there"
        if error.name is not None and error.name.partition(".")[0] in _CLARA:
            return (
                f"{_line(error)}{error}: it is part of Clara Train, which is not needed here",
                "derive the class from a kind of gpu_infer.transforms.base instead, as docs/config.md shows",
            )
        return f"{_line(error)}{error}", f"install {error.name}, or put it on PYTHONPATH"
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}", "fix that line"
    line = _line(error)
    return f"{line}{type(error).__name__}: {error}", "fix it there" if line else "fix the module"


def _is_part(missing: str | None, module_name: str) -> bool:
    """Whether a module that was not found is the one of the dotted name, or a package of it."""
    return missing is not None and f"{module_name}.".startswith(f"{missing}.")


def _line(error: BaseException) -> str:
    """The place of an error in the component's files, with a colon; empty without one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_source(frame.filename)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""


def _is_source(name: str) -> bool:
    """Whether a frame is of a file, and not of the import system or this package."""
    return not name.startswith("<") and name not in (__file__, importlib.__file__)
