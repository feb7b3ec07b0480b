"""Imported bundles on a local Triton against MONAI's own run of the same bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from bundle_cases import CASES as USUAL
from bundle_cases import BundleCase
from bundle_cases_more import MORE
from bundle_peer import Network, export, run_bundle, write_volume

from gpu_infer.app import run
from gpu_infer.imports.bundle.import_model import Imported, Options, import_bundle
from gpu_infer.settings import Settings
from gpu_infer.triton.local.serve import LocalServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bundles")]

CASES = [*USUAL, *MORE]

BAND = 2e-4
"""Scores or probabilities that are nearer to each other than this are a tie: both sides round."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalServer, dict[str, Any]]]:
    place = tmp_path_factory.mktemp("bundles")
    imported = {}
    for case in CASES:
        folder, network = case.write(place), Network(case)
        export(network, case, folder / "models" / "model.onnx")
        files = write_volume(case, place / f"scans_{case.name}")
        patterns = [f"*_{channel}.nii.gz" for channel in range(case.channels)] if case.channels > 1 else ()
        options = Options(files=patterns)
        model = import_bundle(folder, place / "models", place / f"app_{case.name}", options)
        imported[case.name] = (folder, network, files, model)
    with LocalServer(place / "models") as server:
        yield server, imported


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labels_are_those_of_monai(case: BundleCase, served: Any, tmp_path: Path, equivalence: Any) -> None:
    server, imported = served
    folder, network, files, model = imported[case.name]
    ours = _label_maps(model, files, tmp_path / "ours", server)
    source = str(files[0]) if len(files) == 1 else [str(path) for path in files]
    theirs = run_bundle(case, folder, network, source, tmp_path / "theirs")
    labels = np.moveaxis(theirs.labels, -1, 0) if theirs.labels.ndim == 4 else theirs.labels[None]
    assert ours.shape == labels.shape
    assert len(np.unique(labels)) > 1
    different = ours != labels
    ties = theirs.margin < BAND
    if len(ties) != len(different):  # one label map of several masks
        ties = ties.any(axis=0, keepdims=True)
    assert not (different & ~ties).any()
    equivalence.record(
        "monai.bundle.ConfigParser: preprocessing, inferer and postprocessing of a bundle",
        "gpu-infer import-bundle, gpu-infer run",
        tolerance=f"labels are equal if the best two scores, or score and threshold, differ by {BAND:g}",
        worst=float(different.mean()),
    )


def _label_maps(model: Imported, files: list[Path], output: Path, server: LocalServer) -> Any:
    """The label maps that are written, in the order of the configuration."""
    source = files[0] if len(files) == 1 else files[0].parent
    run(Settings(input=source, output=output, config=model.folder, triton_grpc=server.grpc))
    paths = sorted(output.glob("*.nii.gz"))
    for path in paths:
        np.testing.assert_allclose(nib.load(path).affine, nib.load(files[0]).affine, atol=1e-5)
    return np.stack([np.asarray(nib.load(path).dataobj) for path in paths])
