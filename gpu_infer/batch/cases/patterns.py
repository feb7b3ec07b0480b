"""Cases whose channels are the files that the configuration's LoadNifti names: a case is a folder."""

from __future__ import annotations

from gpu_infer.batch.case import Case
from gpu_infer.batch.cases.options import CaseOptions
from gpu_infer.batch.cases.sub_folder import folder_id
from gpu_infer.batch.cases.tree import Tree
from gpu_infer.errors import InputError
from gpu_infer.volume.input_files import choose_files


def pattern_cases(tree: Tree, options: CaseOptions) -> list[Case]:
    """One case for each sub-folder with volumes, or the folder itself if all its volumes are directly in it.

    Raises `InputError` for volumes elsewhere, and if a pattern does not fit exactly one file of a folder.
    """
    root, parents = tree.root, list(tree.volumes)
    folders = [root] if parents == [root] else [parent for parent in parents if parent.parent == root]
    if wrong := next((parent for parent in parents if parent not in folders), None):
        raise InputError(
            f"{tree.volumes[wrong][0]}: expected the files {', '.join(options.patterns)} in each sub-folder of {root}",
            remedy="give a table: a .csv with the columns id,input, where input is the folder of a case",
        )
    if not folders:
        raise InputError(
            f"{root}: no sub-folder with the files {', '.join(options.patterns)}",
            remedy="give the folder that has one folder per case",
        )
    for folder in folders:
        choose_files(folder, options.patterns)
    return [Case(folder_id(folder, options), (folder,)) for folder in folders]
