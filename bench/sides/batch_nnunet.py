"""nnU-Net's side of bench.batch: its predictor for many files: `python -m bench.sides.batch_nnunet FILE…`.

The network costs one copy of its window, as the model "half" does. It runs in the process of the predictor, without a
server. Windows have equal weights and are not mirrored; nothing is normalised or resampled. The rest is nnU-Net's own,
also its crop to what is not zero. Module level imports stay light: the spawned processes import this module again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STEP = 0.875
"""Windows of 128 voxels advance by 112, as in the operator's mode clara, and are as many for every size of a volume. On
256 voxels, nnU-Net's default of 0.5 needs the same number."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sides.batch_nnunet", description=__doc__)
    parser.add_argument("inputs", type=Path, nargs="+", help=".nii files of the same spacing")
    parser.add_argument("--output", type=Path, required=True, help="folder of the labels, <name of the input>.nii")
    parser.add_argument("--roi", type=int, nargs=3, required=True)
    parser.add_argument(
        "--processes", type=int, default=3, help="that read, and as many that write; 0: all in this process"
    )
    arguments = parser.parse_args()
    predict(arguments.inputs, arguments.output, arguments.roi, arguments.processes)


def predict(inputs: Sequence[Path], output: Path, roi: Sequence[int], processes: int) -> None:
    """Write the labels of each input, and facts.json with the number of windows per volume."""
    predictor = make_predictor(_spacing(inputs[0]), roi)
    files = [[str(path)] for path in inputs]
    outputs = [str(output / path.stem) for path in inputs]
    if processes:
        predictor.predict_from_files(
            files, outputs, num_processes_preprocessing=processes, num_processes_segmentation_export=processes
        )
    else:
        predictor.predict_from_files_sequential(files, outputs)
    facts = {"windows": predictor.network.windows / len(inputs)}
    (output / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def make_predictor(spacing: Sequence[float], roi: Sequence[int]) -> Any:
    """An nnUNetPredictor on the CPU with minimal plans.

    spacing  mm, (X, Y, Z)
    roi      voxels, (X, Y, Z)
    """
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    predictor = nnUNetPredictor(
        tile_step_size=STEP,
        use_gaussian=False,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    plans = PlansManager(make_plans(spacing, roi))
    predictor.manual_initialization(
        _half(),
        plans,
        plans.get_configuration("windows"),
        [{}],  # the network has no parameters
        {"labels": {"background": 0, "object": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii"},
        "nnUNetTrainer",
        None,
    )
    return predictor


def make_plans(spacing: Sequence[float], roi: Sequence[int]) -> dict[str, Any]:
    """What the predictor reads of nnU-Net's plans. Their axes are Z, Y, X."""
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    windows = {
        "data_identifier": "windows",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": list(reversed(roi)),
        "spacing": list(reversed(spacing)),
        "normalization_schemes": ["NoNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        "batch_dice": False,
    }
    for name in ("data", "probabilities", "seg"):
        windows[f"resampling_fn_{name}"] = "resample_data_or_seg_to_shape"
        windows[f"resampling_fn_{name}_kwargs"] = {**resampling, "is_seg": name == "seg"}
    return {
        "dataset_name": "bench",
        "plans_name": "bench",
        "image_reader_writer": "SimpleITKIO",
        "label_manager": "LabelManager",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"windows": windows},
    }


def _half() -> Any:
    """A Module, window [1, 1, Z, Y, X] → scores [1, 2, Z, Y, X]: 0.5 and the voxel itself, as the model "half"."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._scores = torch.empty(0)
            self.windows = 0

        def forward(self, window: torch.Tensor) -> torch.Tensor:
            self.windows += 1
            shape = (1, 2, *window.shape[2:])
            if self._scores.shape != shape:
                self._scores = torch.full(shape, 0.5)
            self._scores[:, 1:] = window
            return self._scores

    return Half()


def _spacing(path: Path) -> list[float]:
    """mm, (X, Y, Z), as SimpleITK reads it."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return list(reader.GetSpacing())


if __name__ == "__main__":
    main()
