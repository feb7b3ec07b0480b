"""The files of one compiled function: one of machine code per signature, and an index of these.

Processes read and write them at the same time. Each file is written under another name and then renamed, and begins
with a check sum: damaged machine code would crash the process, or compute something else.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import re
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core import environment
from numba.core.caching import IndexDataCacheFile

_BEGIN = b"gpu_infer kernel\n"
_DIGEST = hashlib.sha256().digest_size
_PICKLE = b"\x80"
"""The first byte of an index that Numba's own class wrote, as earlier versions did."""

_OLD_S = 30 * 24 * 3600
"""Age of files that are removed. Containers with two versions of the sources may share a folder and use both."""


class DamagedFile(Exception):
    """The content of a file is not what was written to it."""


class KernelFiles(IndexDataCacheFile):  # type: ignore[misc]
    """The files of one function.

    Numba numbers the files of machine code, so that processes that compile different signatures at once may write one
    file, and a process that ends between its two writes leaves an index that names the code of an earlier version. Here
    a file's name follows from the sources and the signature, and code is found without the index. It says which files
    are in use; of processes that save at once, the last one writes it.
    """

    def save(self, key: Any, data: Any) -> None:
        name = self._data_name_of(key)
        self._save_data(name, data)
        names: dict[Any, str] = {}
        with suppress(DamagedFile):
            names = self._load_index()
        names = {**names, key: name}
        self._save_index(names)
        remove_stale(Path(self._cache_path), self._index_name, names.values())

    def load(self, key: Any) -> Any:
        """What was saved for the key; None if there is nothing, or it cannot be read. Raises DamagedFile."""
        try:
            return self._load_data(self._data_name_of(key))
        except OSError:
            return None

    def _load_index(self) -> dict[Any, str]:
        try:
            content = Path(self._index_path).read_bytes()
        except FileNotFoundError:
            return {}
        if content.startswith(_PICKLE):
            return {}
        file = io.BytesIO(_unseal(self._index_name, content))
        if pickle.load(file) != self._version:  # types of another Numba cannot be read
            return {}
        stamp, names = pickle.load(file)
        return names if stamp == self._source_stamp else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        content = pickle.dumps(self._version, -1) + self._dump((self._source_stamp, overloads))
        with self._open_for_write(self._index_path) as file:
            file.write(_seal(self._index_name, content))

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        return _Unpickler(io.BytesIO(_unseal(name, content))).load()

    def _save_data(self, name: str, data: Any) -> None:
        with self._open_for_write(self._data_path(name)) as file:
            file.write(_seal(name, self._dump(data)))

    def _data_name_of(self, key: Any) -> str:
        digest = hashlib.sha256(repr((_BEGIN, self._version, self._source_stamp, key)).encode()).hexdigest()
        return f"{self._index_name.removesuffix('.nbi')}.{digest[:16]}.nbc"


def _seal(name: str, content: bytes) -> bytes:
    """What a file of that name has to contain."""
    return _BEGIN + _digest(name, content) + content


def _unseal(name: str, sealed: bytes) -> memoryview:
    """The content of a file of that name. Raises DamagedFile if it is damaged or that of another file."""
    view = memoryview(sealed)
    digest, content = view[len(_BEGIN) :][:_DIGEST], view[len(_BEGIN) + _DIGEST :]
    if not sealed.startswith(_BEGIN) or digest != _digest(name, content):
        raise DamagedFile(name)
    return content


def _digest(name: str, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(name.encode())
    digest.update(content)
    return digest.digest()


def remove_stale(folder: Path, index_name: str, names: Collection[str]) -> None:
    """Remove what earlier sources of a function, and processes that were killed as they wrote, have left in `folder`.

    A folder belongs to one folder of sources, and a name to one function and one version of Python, at the line where
    it began. Removed are files of the same function that are older than 30 days, but the index and those that it
    `names`.
    """
    parts = re.fullmatch(r"(.+-)\d+(\.py\w+)\.nbi", index_name)
    if parts is None:
        return
    function, python = map(re.escape, parts.groups())
    pattern = re.compile(rf"{function}\d+{python}(\.[0-9a-f]+)?\.nb[ci](\.tmp\.[0-9a-f]+)?")
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            is_stale = pattern.fullmatch(entry.name) and entry.name != index_name and entry.name not in names
            with suppress(OSError):  # of another user, or gone meanwhile
                if is_stale and time.time() - entry.stat(follow_symlinks=False).st_mtime > _OLD_S:
                    Path(entry).unlink()


class _Unpickler(pickle.Unpickler):
    """Reads a kernel without importing the modules of the functions of Numba that it contains, a part of its compiler.

    An environment has the globals of a function's module, but only code in Numba's object mode reads them.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (environment.__name__, "_rebuild_env") and hasattr(environment.Environment, "_memo"):
            return _environment
        return super().find_class(module, name)


def _environment(module: str, constants: list[Any], name: str) -> Any:
    """What `_rebuild_env` of Numba returns, with no globals but the name of a module that is not imported."""
    known = environment.Environment._memo.get(name)
    if known is not None:
        return known
    imported = sys.modules.get(module)
    made = environment.Environment({"__name__": module} if imported is None else imported.__dict__)
    made.consts[:] = constants
    made.env_name = name
    environment.Environment._memo[name] = made
    return made
