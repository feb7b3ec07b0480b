"""Warnings about keys of the original that contradict a run or the rest of a configuration."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from gpu_infer.config.config import Output
from gpu_infer.config.inferer import InfererSpec
from gpu_infer.config.labels import KEY
from gpu_infer.config.location import Place, shown


def check_batch(document: dict[str, JsonValue], place: Place) -> tuple[str, ...]:
    """A warning if `batch_size` asks for several volumes at once, which changes no label.

    Raises ConfigError if it is no positive whole number.
    """
    size = document.get("batch_size", 1)
    where = place / "batch_size"
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise where.error(
            f"expected 1, one volume per run, found {shown(size)}", "windows per request are inferer.args.batch_size"
        )
    if size == 1:
        return ()
    return (
        f"{where.file}: {where.path} {size} has no effect: a run has one volume, and windows per request are "
        "inferer.args.batch_size",
    )


def check_scanning(document: dict[str, JsonValue], place: Place, inferer: InfererSpec) -> tuple[str, ...]:
    """A warning if `use_scanning_window` says something else than a built-in inferer; the inferer counts."""
    scanning = document.get("use_scanning_window")
    if not isinstance(scanning, bool) or inferer.kind == "own" or scanning is (inferer.kind == "scan"):
        return ()
    does = "moves a window" if inferer.kind == "scan" else "sends the whole volume"
    return (f"{place.file}: use_scanning_window is {str(scanning).lower()}, but {inferer.name} {does}, which counts",)


def unused_names(
    document: dict[str, JsonValue], place: Place, outputs: Sequence[Output], result: str
) -> tuple[str, ...]:
    """A warning if an annotation server's list of names does not describe the labels of every output.

    The list names the labels of the result field in order; another field is a mask, whose only label is 1.
    """
    listed = document.get(KEY)
    masks = [output.field for output in outputs if output.field != result]
    if "inference" not in document or not isinstance(listed, list) or len(listed) < 2 or not masks:
        return ()
    return (
        f"{place.file}: {KEY}: the names are not used, because {shown(masks[0])} is a mask: its label 1 is not the "
        "first of several names",
    )
