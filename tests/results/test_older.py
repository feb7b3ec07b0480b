"""Outputs of an earlier run that a run does not replace are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from planned_runs import inputs_of

from gpu_infer.results.older import warn_of_older
from gpu_infer.writers.label_maps import LabelMap, write_label_maps

SHAPE = (6, 5, 4)


def test_older_formats_of_the_same_name_are_named(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, SHAPE, options={"output": tmp_path, "formats": ("nii.gz",)})
    base = inputs.header.case_name
    field = inputs.config.outputs[0].field
    assert warn_of_older(inputs.settings, inputs.config, inputs.header) == []
    maps = {field: LabelMap(np.ones(SHAPE, np.uint8), "uint8", ("mhd", "nii.gz", "seg.nrrd"))}
    write_label_maps(maps, inputs.header.geometry, tmp_path, base)
    (tmp_path / f"{base}.nrrd").write_text("somebody's")
    (warning,) = warn_of_older(inputs.settings, inputs.config, inputs.header)
    assert warning.startswith(f"{tmp_path}: outputs of an earlier run stay")
    assert warning.endswith(f": {base}.mhd, {base}.raw, {base}.seg.nrrd")
