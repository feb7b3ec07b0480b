"""nnU-Net's prediction of a case: its labels, and its logits in float16 as it sums them or in float32."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunet_cases import Case
from nnunet_folders import build_network
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.inference.sliding_window_prediction import compute_gaussian
from nnunetv2.postprocessing.remove_connected_components import remove_all_but_largest_component_from_segmentation
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from numpy.typing import NDArray


@dataclass(frozen=True)
class Prediction:
    """labels  [K, J, I] as nnU-Net's reader sees the file
    logits     [C, …] that labels are made of, on the transposed and cropped grid of the file
    box        of the crop
    """

    labels: NDArray[Any]
    logits: NDArray[np.float32]
    box: tuple[slice, ...]


class Float32Predictor(nnUNetPredictor):
    """The same windows, with sums and weights in float32."""

    def _internal_predict_sliding_window_return_logits(self, data: Any, slicers: Any, do_on_device: bool = True) -> Any:
        heads = self.label_manager.num_segmentation_heads
        sums, weights = torch.zeros((heads, *data.shape[1:])), torch.zeros(data.shape[1:])
        patch = tuple(self.configuration_manager.patch_size)
        gaussian = compute_gaussian(
            patch, sigma_scale=1.0 / 8, value_scaling_factor=10, dtype=torch.float32, device=torch.device("cpu")
        )
        for place in slicers:
            sums[place] += self._internal_maybe_mirror_and_predict(data[place][None].contiguous())[0] * gaussian
            weights[place[1:]] += gaussian
        return sums / weights


def predict(case: Case, trained: Path, files: list[Path], *, half: bool) -> Prediction:
    """The prediction in memory, as predict_from_files makes it of files."""
    plans = PlansManager(json.loads((trained / "plans.json").read_text(encoding="utf-8")))
    dataset = json.loads((trained / "dataset.json").read_text(encoding="utf-8"))
    configuration = plans.get_configuration(case.configuration)
    heads = plans.get_label_manager(dataset).num_segmentation_heads
    weights = [
        torch.load(trained / f"fold_{fold}" / "checkpoint_final.pth", weights_only=False)["network_weights"]
        for fold in case.folds
    ]
    predictor = (nnUNetPredictor if half else Float32Predictor)(device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        build_network(configuration, case.channels, heads),
        plans,
        configuration,
        weights,
        dataset,
        "nnUNetTrainer",
        case.mirroring,
    )
    preprocessor = configuration.preprocessor_class(verbose=False)
    data, _, properties = preprocessor.run_case([str(f) for f in files], None, plans, configuration, dataset)
    logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(np.asarray(data, np.float32)))
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, plans, configuration, predictor.label_manager, properties
    )
    spacing = [properties["spacing"][axis] for axis in plans.transpose_forward]
    own = configuration.spacing if len(configuration.spacing) == 3 else [spacing[0], *configuration.spacing]
    shape = properties["shape_after_cropping_and_before_resampling"]
    resampled = configuration.resampling_fn_probabilities(logits, shape, own, spacing)
    box = tuple(slice(low, high) for low, high in properties["bbox_used_for_cropping"])
    return Prediction(np.asarray(labels), np.asarray(resampled, np.float32), box)


def read_labels(trained: Path, path: Path) -> NDArray[Any]:
    """[K, J, I] as nnU-Net's reader sees a label map."""
    plans = PlansManager(json.loads((trained / "plans.json").read_text(encoding="utf-8")))
    return np.asarray(plans.image_reader_writer_class().read_seg(str(path))[0][0])


def on_file_grid(case: Case, values: NDArray[np.float32], prediction: Prediction) -> NDArray[np.float32]:
    """[K, J, I]: values of the cropped and transposed grid; infinite outside."""
    shape = [prediction.labels.shape[axis] for axis in case.transpose]
    whole = np.full(shape, np.inf, np.float32)
    whole[prediction.box] = values
    return whole.transpose([case.transpose.index(axis) for axis in range(3)])


def with_rules(case: Case, labels: NDArray[Any]) -> NDArray[Any]:
    """Labels after nnU-Net's function for each rule of the case."""
    for applied in case.components:
        labels = remove_all_but_largest_component_from_segmentation(labels, list(applied))
    return labels


def margins(case: Case, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each voxel is from another label."""
    if case.regions:
        smallest: NDArray[np.float32] = np.abs(logits).min(axis=0)
        return smallest
    ordered = np.sort(logits, axis=0)
    difference: NDArray[np.float32] = ordered[-1] - ordered[-2]
    return difference
