"""Cases of trained nnU-Net folders imported and served by a local Triton, and their labels beside nnU-Net's."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from nnunet_cases import Case
from nnunet_folders import write_case
from nnunet_peer import margins, on_file_grid, predict, read_labels, with_rules

from gpu_infer.app import run
from gpu_infer.imports.nnunet.import_model import Imported, Options, import_nnunet
from gpu_infer.settings import Settings
from gpu_infer.triton.local.serve import LocalServer


class Served(NamedTuple):
    """A server with the models of the cases; by name: the trained folder, the files of a volume, the import."""

    server: LocalServer
    imported: dict[str, tuple[Path, list[Path], Imported]]


@contextmanager
def serve(cases: Sequence[Case], place: Path) -> Iterator[Served]:
    imported = {}
    for case in cases:
        trained, files = write_case(case, place / case.name)
        output = place / f"app_{case.name}"
        model = import_nnunet(trained, place / "models", output, Options(Path(sys.executable), case.name))
        imported[case.name] = (trained, files, model)
    with LocalServer(place / "models") as server:
        yield Served(server, imported)


def check_labels(case: Case, served: Served, output: Path, equivalence: Any) -> None:
    """Labels differ from nnU-Net's on 1e-4 of the voxels at most, each of them within the rounding of float16 sums."""
    trained, files, model = served.imported[case.name]
    ours = read_labels(trained, _label_map(model, files, output, served.server))
    half, full = (predict(case, trained, files, half=half) for half in (True, False))
    assert len(np.unique(half.labels)) > 2
    rounded, exact = with_rules(case, half.labels), with_rules(case, full.labels)
    different = ours != rounded
    assert bool(case.components) is bool((exact != full.labels).any())
    share = float(different.mean())
    margin = on_file_grid(case, margins(case, full.logits), full)
    band = 2 * on_file_grid(case, np.abs(half.logits - full.logits).max(axis=0), full)
    assert share <= 1e-4
    assert (margin[different] <= band[different] + 1e-4).all()
    assert (margin[ours != exact] <= 1e-3).all()
    equivalence.record(
        "nnunetv2 nnUNetPredictor",
        "gpu-infer import-nnunet, gpu-infer run",
        tolerance="labels differ on at most 1e-4 of the voxels, each within the rounding of nnU-Net's float16 sums",
        worst=share,
    )


def _label_map(model: Imported, files: list[Path], output: Path, server: LocalServer) -> Path:
    source = files[0] if len(files) == 1 else files[0].parent
    run(Settings(input=source, output=output, config=model.folder, triton_grpc=server.grpc))
    (path,) = output.glob("*.nii.gz")
    written, read = sitk.ReadImage(str(path)), sitk.ReadImage(str(files[0]))
    np.testing.assert_allclose(written.GetDirection(), read.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(written.GetSpacing(), read.GetSpacing(), rtol=1e-6)
    return path
