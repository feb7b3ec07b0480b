"""A folder with all its sub-folders: volume files and other files, without outputs of earlier runs."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from gpu_infer.batch.cases.earlier import is_output_folder
from gpu_infer.errors import InputError
from gpu_infer.volume.files import unreadable
from gpu_infer.volume.input_files import EXTENSIONS, extension
from gpu_infer.writers.own_volumes import own_volumes

log = logging.getLogger(__name__)

MOST_FILES = 1_000_000
_NAMED = 5


@dataclass(frozen=True)
class Tree:
    """The files of a folder and its sub-folders, by folder, in order of their paths.

    volumes  files with a volume's extension that are not hidden
    others   all other files, among them DICOM
    """

    root: Path
    volumes: dict[Path, list[Path]]
    others: list[Path]

    def sub_trees(self) -> list[Tree]:
        """The trees of the folders directly in the root that have files at any depth, sorted."""
        trees: dict[str, Tree] = {}
        for parent, files in self.volumes.items():
            if parent != self.root:
                self._sub_tree(trees, parent).volumes[parent] = files
        for path in self.others:
            if path.parent != self.root:
                self._sub_tree(trees, path.parent).others.append(path)
        return [trees[name] for name in sorted(trees)]

    def _sub_tree(self, trees: dict[str, Tree], folder: Path) -> Tree:
        name = self.top_of(folder)
        return trees.setdefault(name, Tree(self.root / name, {}, []))

    def top_of(self, folder: Path) -> str:
        """Name of the folder directly in the root that `folder` is, or is in; "" for the root."""
        return next(iter(folder.relative_to(self.root).parts), "")


def walk(root: Path, output: Path) -> Tree:
    """List a folder.

    Hidden folders, the folder `output`, and folders with outputs of a batch or for a renderer are not entered, and
    label maps of this program are no volumes; a log line names them. Links to folders in `root` itself are entered.

    Raises `InputError` for a folder that cannot be read, and for more than `MOST_FILES` files.
    """

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename or root), error) from None

    tree, target = Tree(root, {}, []), output.resolve()
    earlier: list[Path] = []
    links: list[Path] = []
    count = 0
    tops = [root, *_linked_folders(root)]
    for top in tops:
        for parent, folders, names in os.walk(top, onerror=refuse):
            folder = Path(parent)
            if folder.resolve() == target or is_output_folder(folder, set(names)):
                folders.clear()
                earlier.append(folder)
                continue
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
            links += [folder / name for name in folders if (folder / name).is_symlink() and folder / name not in tops]
            _add(tree, folder, names, earlier)
            count += len(names)
            if count > MOST_FILES:
                raise InputError(f"{root}: more than {MOST_FILES} files", remedy="give a smaller folder, or a table")
    if earlier:
        log.info("%s: outputs of earlier runs, no cases: %s", root, name_some(earlier))
    if links:
        log.warning("%s: links to folders were not followed: %s", root, name_some(links))
    return Tree(root, dict(sorted(tree.volumes.items(), key=lambda item: str(item[0]))), sorted(tree.others, key=str))


def name_some(paths: list[Path]) -> str:
    """The first of several paths in a line of text."""
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(map(str, paths[:_NAMED])) + more


def _linked_folders(root: Path) -> list[Path]:
    """Links in `root` to folders outside it, sorted."""
    try:
        entries = sorted(entry for entry in root.iterdir() if entry.is_symlink() and not entry.name.startswith("."))
    except OSError as error:
        raise unreadable(root, error) from None
    home = root.resolve()
    return [
        entry
        for entry in entries
        if entry.is_dir() and not (entry.resolve().is_relative_to(home) or home.is_relative_to(entry.resolve()))
    ]


def _add(tree: Tree, folder: Path, names: list[str], earlier: list[Path]) -> None:
    volumes = []
    for name in sorted(names):
        path = folder / name
        if not name.startswith(".") and extension(path) in EXTENSIONS and path.is_file():
            volumes.append(path)
        else:
            tree.others.append(path)
    outputs = own_volumes(volumes)
    earlier += sorted(outputs)
    if inputs := [path for path in volumes if path not in outputs]:
        tree.volumes[folder] = inputs
