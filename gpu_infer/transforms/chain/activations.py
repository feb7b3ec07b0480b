"""Leave out activations that change no label: scores have the order of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from gpu_infer.transforms.base import Activation, ChannelMask, ChannelReduction, Metadata, Transform


def without_needless_activations(post: Sequence[Transform]) -> tuple[Transform, ...]:
    """The post-transforms without activations that only an argmax reads, or sigmoids that only thresholds read.

    Nearest-neighbour changes of grid can be between an activation and its argmax: a voxel outside the scores gets
    label 0 either way. The thresholds become those of logits. Labels are the same, except that no probability is
    rounded.
    """
    chain = list(post)
    for n, transform in enumerate(chain):
        if not isinstance(transform, Activation) or len(transform.fields) != 1:
            continue
        reader, is_next = _reader(chain, n)
        if reader is None or chain[reader].fields != transform.fields:
            continue
        argmax, masks = chain[reader], chain[reader]
        if isinstance(argmax, ChannelReduction) and argmax.finalizer == "argmax":
            return without_needless_activations([*chain[:n], *chain[n + 1 :]])
        if is_next and isinstance(masks, ChannelMask) and transform.activation == "sigmoid":
            of_logits = masks.after_sigmoid()
            if of_logits is not None:
                return without_needless_activations(
                    [*chain[:n], *chain[n + 1 : reader], of_logits, *chain[reader + 1 :]]
                )
    return tuple(chain)


def _reader(chain: Sequence[Transform], at: int) -> tuple[int | None, bool]:
    """Index of the next transform that reads the voxels of the field of `chain[at]` to do more than copy them, and
    whether it is the first one that touches them."""
    (field,) = chain[at].fields
    is_next = True
    for n, transform in enumerate(chain[at + 1 :], start=at + 1):
        if isinstance(transform, Metadata) or field not in (*transform.fields, *transform.reads):
            continue
        if transform.fields == (field,) and transform.copies_voxels:
            is_next = False
            continue
        return n, is_next
    return None, is_next
