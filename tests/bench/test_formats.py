"""bench.formats on tiny labels, with and without SimpleITK."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import formats


@pytest.mark.parametrize("with_itk", [True, False])
def test_every_format_has_its_rows(tmp_path: Path, with_itk: bool) -> None:
    labels, geometry, title = formats.read(None, (24, 20, 6))
    assert set(np.unique(labels)) == {0, 1, 2}
    formats.run(labels, geometry, title, 1, with_itk=with_itk, folder=tmp_path)
    sides: dict[str, list[str]] = {}
    for row in json.loads((tmp_path / "formats.json").read_text(encoding="utf-8"))["table"]:
        sides.setdefault(row["what"], []).append(row["side"])
    itk = ["SimpleITK"] * with_itk
    assert sides == {
        "write .mhd": ["gpu_infer", *itk],
        "write .mha": ["gpu_infer", *itk],
        "write .nii.gz": ["gpu_infer", "nibabel", *itk],
        "write .nii": ["gpu_infer", "nibabel", *itk],
        "write .nrrd": ["gpu_infer", *itk],
        "write .seg.nrrd": ["gpu_infer"],
        "gzip alone": [*(f"ISA-L {n}" for n in range(4)), "zlib 1", "zlib 6"],
    }
