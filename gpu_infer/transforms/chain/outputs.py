"""The fields that are written: back on the loaded grid, one channel each, in the file's order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.chain.restore import in_file_order, restore
from gpu_infer.transforms.field import FieldState

log = logging.getLogger(__name__)


def check_label_map(state: FieldState) -> None:
    """ConfigError if a field that is written has several channels."""
    if state.channels != 1:
        raise ConfigError(
            f"post_transforms: leave {state.channels} channels in {state.name!r}, expected 1",
            remedy="make one label map of them with ArgmaxAcrossChannels, or one field of each with "
            "SplitAcrossChannels, and name the fields in writers",
        )


def labels_of_file(state: FieldState, backend: Backend) -> Array:
    """Labels [I, J, K] of an output field in the file's order, i fastest in memory."""
    if state.history:
        log.warning(
            "no RestoreOriginalShape brings %r back to the file's grid %s; done with nearest neighbour",
            state.name,
            state.source.loaded.shape,
        )
        restore(state, "nearest", backend)
    check_label_map(state)
    return in_file_order(state, backend)


def is_restored(post: Iterable[Transform], output: str) -> bool:
    """True if a post-transform brings `output` back to the loaded grid."""
    return any(t.restores_grid and output in t.fields for t in post)


def fields_off_grid(
    pre: Sequence[Transform], post: Sequence[Transform], input_field: str, result_field: str
) -> set[str]:
    """Fields whose grid some transform is known to change and no later one restores."""
    changed = {input_field: False}
    _follow(pre, changed)
    changed[result_field] = changed[input_field]
    _follow(post, changed)
    return {name for name, is_changed in changed.items() if is_changed}


def _follow(transforms: Iterable[Transform], changed: dict[str, bool]) -> None:
    """Update, by field, whether its grid is a changed one."""
    for transform in transforms:
        for name in transform.creates:
            changed.setdefault(name, changed.get(transform.fields[0], False))
        for name in transform.fields:
            if transform.changes_grid or transform.restores_grid:
                changed[name] = transform.changes_grid
