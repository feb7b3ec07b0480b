"""The probabilities of labels, and how uncertain the model is."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.score_maps import ScoreMaps
from gpu_infer.inferers.score_plan import TOLERANCE, ScorePlan
from gpu_infer.planning.run_plan import RunPlan
from gpu_infer.planning.score_options import score_dtype, score_format, score_options
from gpu_infer.redaction import reported_path
from gpu_infer.report import Report
from gpu_infer.results.label_maps import output_base
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.restore_slabs import restored_slabs
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.header import VolumeHeader
from gpu_infer.writers.atomic import open_stage, publish, still_there
from gpu_infer.writers.places import Place, check_places
from gpu_infer.writers.score_maps import (
    check_score_map_format,
    score_map_name,
    score_map_places,
    write_score_map,
)

log = logging.getLogger(__name__)


def write_scores(segmentation: Segmentation, geometry: Geometry, report: Report) -> list[Path]:
    """Write the maps that --scores and --uncertainty ask for, all or none, and record them; returns their paths.

    The maps are restored slab by slab, so that no map exists as a whole on the file's grid.

    Raises:
        ConfigError: The scores are no probabilities, or a file of another program is in the way.
        ResourceError: The disk is full.
    """
    if segmentation.scores is None:
        return []
    maps, field = segmentation.scores
    inputs = segmentation.plan.inputs
    base = output_base(inputs.settings, inputs.header)
    folder, table = inputs.settings.output, inputs.config.labels
    form, dtype = score_format(inputs.settings), score_dtype(inputs.settings)
    labels = _map_labels(maps.plan)
    names = [score_map_name(base, label, form) for label in labels]
    ranges = []
    with report.stage("scores"):
        _check_probable(maps, field)
        with still_there(folder), open_stage(folder, base) as stage:
            for n, (label, name) in enumerate(zip(labels, names, strict=True)):
                content = "uncertainty" if label is None else f"probability of label {label}: {table[label].name}"
                slabs = _values(maps, n, field)
                ranges.append(write_score_map(stage / name, slabs, geometry, dtype, content))
            publish(stage, names, folder, check=partial(check_places, score_map_places(folder, names)))
    paths = [folder / name for name in names]
    described: list[dict[str, Any]] = []
    for label, path, extent in zip(labels, paths, ranges, strict=True):
        log.info("wrote %s", path)
        kind = {"uncertainty": True} if label is None else {"label": label}
        named = {"name": table[label].name} if label is not None and table.is_described(label) else {}
        values = {"min": round(extent.low, 6), "max": round(extent.high, 6)}
        described.append({**kind, **named, "path": reported_path(path), **values})
    section = {
        "activation": maps.plan.activation,
        "dtype": dtype,
        "precision": str(np.dtype(maps.array.dtype)),
        "maps": described,
    }
    report.add(scores=section)
    return paths


def score_places(settings: Settings, config: Config, header: VolumeHeader) -> list[Place]:
    """Every map that the run writes into the output folder, as far as the labels are known before the model is.

    The labels of "all" are known with the model: see `check_score_places`.

    Raises ConfigError for options that cannot be used.
    """
    options = score_options(settings, config, config.pipeline())
    if options is None:
        return []
    form = score_format(settings)
    check_score_map_format(header.geometry.shape, form)
    labels: list[int | None] = [*(options.labels or ()), *([None] if options.uncertainty else [])]
    return score_map_places(settings.output, [score_map_name(output_base(settings, header), n, form) for n in labels])


def check_score_places(plan: RunPlan) -> None:
    """Raise ConfigError before the inference if a file of another program is in the way of a map."""
    if plan.scores is None:
        return
    settings, header = plan.inputs.settings, plan.inputs.header
    form, base = score_format(settings), output_base(settings, header)
    names = [score_map_name(base, label, form) for label in _map_labels(plan.scores)]
    check_places(score_map_places(settings.output, names), header.files or (header.path,))


def _map_labels(plan: ScorePlan) -> list[int | None]:
    """The label of each map; None: the uncertainty."""
    return [*plan.labels, *([None] if plan.uncertainty else [])]


def _values(maps: ScoreMaps, n: int, field: FieldState) -> Iterator[NDArray[np.float32]]:
    """Slabs of map `n`, 0 to 1; where scores are NaN, the background and full uncertainty."""
    plan = maps.plan
    nan = 1.0 if n == len(plan.labels) else 0.0
    for slab in restored_slabs(maps.array[n : n + 1], field, maps.backend):
        if np.isnan(slab.max()):
            np.nan_to_num(slab, copy=False, nan=nan)
        if n < len(plan.labels) and plan.background[n]:
            np.subtract(np.float32(1), slab, out=slab)
        if slab.min() < 0 or slab.max() > 1:  # by the last bit
            np.clip(slab, 0, 1, out=slab)
        yield slab


def _check_probable(maps: ScoreMaps, field: FieldState) -> None:
    """Raise ConfigError if scores are no probabilities."""
    outside, off_sum = maps.improbable
    voxels = field.shape[0] * field.shape[1] * field.shape[2]
    option = "--scores" if maps.plan.labels else "--uncertainty"
    if outside:
        raise ConfigError(
            f"{option}: found scores below 0 or above 1 at {outside} of {voxels} voxels, expected probabilities",
            remedy="give --scores-activation softmax for scores of classes, or sigmoid for independent ones",
        )
    if off_sum:
        raise ConfigError(
            f"{option}: found scores between 0 and 1 whose sum over the classes differs from 1 by more than "
            f"{TOLERANCE:g} at {off_sum} of {voxels} voxels, expected probabilities",
            remedy="give --scores-activation none to write them as they are (without --uncertainty), "
            "or softmax or sigmoid",
        )
