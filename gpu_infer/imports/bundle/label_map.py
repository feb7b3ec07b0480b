"""Recognise the function of a bundle's Lambdad that makes one label map of masks. It is read, never called.

    $lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))

The outermost channel wins.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

_LONGEST = 2000  # characters
_MOST = 255
_WHERE = ("torch.where", "numpy.where", "np.where")


class LabelMap(NamedTuple):
    """The label of each channel, 0 for one that the function does not read, and the channels in ascending priority."""

    labels: list[int]
    order: list[int]


def read_label_map(text: str, channels: int) -> LabelMap | None:
    """The label map of the function `text` of masks of 0 and 1; None for any other function."""
    if not text.startswith("$") or len(text) > _LONGEST:
        return None
    try:
        node = ast.parse(text[1:].strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match node:
        case ast.Lambda(
            args=ast.arguments(posonlyargs=[], args=[ast.arg(arg=name)], vararg=None, kwonlyargs=[], kwarg=None),
            body=body,
        ):
            pairs = _pairs(body, name)
        case _:
            return None
    if pairs is None or len({channel for channel, _ in pairs}) < len(pairs):
        return None
    if not all(0 <= channel < channels and 1 <= label <= _MOST for channel, label in pairs):
        return None
    labels = [0] * channels
    for channel, label in pairs:
        labels[channel] = label
    if len(set(labels) - {0}) < len(pairs):
        return None
    used = [channel for channel, _ in reversed(pairs)]
    return LabelMap(labels, [*(channel for channel in range(channels) if channel not in used), *used])


def _pairs(node: ast.expr, name: str) -> list[tuple[int, int]] | None:
    """(channel, label) of nested calls of where, from the outermost on; None if it is something else."""
    pairs: list[tuple[int, int]] = []
    while True:
        match node:
            case ast.Constant(value=0):
                return pairs or None
            case ast.Call(
                func=ast.Attribute() as function, args=[condition, ast.Constant(value=label), rest], keywords=[]
            ):
                channel = _channel(condition, name)
                if ast.unparse(function) not in _WHERE or channel is None or type(label) is not int:
                    return None
                pairs.append((channel, label))
                node = rest
            case _:
                return None


def _channel(node: ast.expr, name: str) -> int | None:
    """2 for `x[[2]] > 0`, `x[2:3] > 0.5` or `x[[2]] == 1`; None for another condition."""
    match node:
        case ast.Compare(left=ast.Subscript(value=ast.Name(id=variable), slice=index), ops=[op], comparators=[limit]):
            pass
        case _:
            return None
    if variable != name or not isinstance(limit, ast.Constant) or not isinstance(limit.value, (int, float)):
        return None
    level = limit.value
    is_mask = (
        (isinstance(op, ast.Gt) and 0 <= level < 1)
        or (isinstance(op, ast.GtE) and 0 < level <= 1)
        or (isinstance(op, ast.Eq) and level == 1)
    )
    match index:
        case ast.List(elts=[ast.Constant(value=channel)]):
            pass
        case ast.Slice(lower=ast.Constant(value=channel), upper=ast.Constant(value=end), step=None):
            if type(channel) is not int or type(end) is not int or end != channel + 1:
                return None
        case _:
            return None
    return channel if is_mask and type(channel) is int else None
