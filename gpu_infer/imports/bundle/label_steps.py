"""Translate the steps of a bundle's postprocessing that follow its labels or masks."""

from __future__ import annotations

from typing import Any

from gpu_infer.imports.bundle.finish import RESULT, Finish
from gpu_infer.imports.bundle.label_map import read_label_map
from gpu_infer.imports.bundle.preprocessing import component
from gpu_infer.imports.bundle.step import Step


def keep_largest(step: Step, finish: Finish) -> None:
    _check_labels(step, finish)
    step.only("num_components", 1)
    step.only("is_onehot", False)
    args: dict[str, Any] = {"connectivity": _connectivity(step), "independent": step.flag("independent", True)}
    if (labels := step.labels("applied_labels")) is not None:
        args["applied_labels"] = labels
    finish.transforms.append(component("KeepLargestCC", fields=RESULT, **args))


def fill_holes(step: Step, finish: Finish) -> None:
    _check_labels(step, finish)
    args: dict[str, Any] = {"connectivity": _connectivity(step)}
    if (labels := step.labels("applied_labels")) is not None:
        args["applied_labels"] = labels
    finish.transforms.append(component("FillHoles", fields=RESULT, **args))


def merge_masks(step: Step, finish: Finish) -> None:
    """A function of the masks that makes one label map."""
    for name in ("overwrite", "inv_func"):
        step.only(name, True)
    text = step.text("func")
    if finish.stage != "masks" or finish.channels is None:
        raise step.error(f"func is {text}, which is not run; expected after a threshold of several channels")
    label_map = read_label_map(text, finish.channels)
    if label_map is None:
        raise step.error(
            f"func is {text}, which is not run; expected nested torch.where(x[[channel]] > 0, label, …, 0)"
        )
    finish.transforms.append(component("MergeMasks", fields=RESULT, labels=label_map.labels, order=label_map.order))
    finish.stage = "labels"
    finish.merged = {label: channel for channel, label in enumerate(label_map.labels) if label}


def _check_labels(step: Step, finish: Finish) -> None:
    if finish.stage != "labels":
        raise step.error("expected after AsDiscreted, on one label map")


def _connectivity(step: Step) -> int:
    """MONAI's default is the highest, through corners."""
    return step.only("connectivity", 1, 2, 3) or 3
