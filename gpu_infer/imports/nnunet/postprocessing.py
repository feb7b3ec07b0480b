"""The largest-component rules that nnU-Net found for a trained model, in postprocessing.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_infer.imports.nnunet.fields import Fields, read_json
from gpu_infer.imports.nnunet.labels import LARGEST

_RULE = "remove_all_but_largest_component_from_segmentation"


def postprocessing(folder: Path, folds: Sequence[str]) -> tuple[list[dict[str, Any]], str]:
    """The transforms of the field "model" on the grid of the file, and a sentence about where they come from.

    nnU-Net writes the rules of a set of folds after their cross-validation. Rules of other folds are not used, and a
    pickle is not read.
    """
    place = folder / f"crossval_results_folds_{'_'.join(folds)}"
    path, pickle = place / "postprocessing.json", place / "postprocessing.pkl"
    if not path.is_file():
        if pickle.is_file():
            return [], f"{pickle} is not read, since that can run code; there is no postprocessing.json beside it"
        return [], ""
    content = Fields(path, read_json(path))
    functions, arguments = content.sequence("postprocessing_fns"), content.sequence("postprocessing_kwargs")
    if any(function != _RULE for function in functions):
        content.refuse("postprocessing_fns", f"no other function than {_RULE}")
    if len(arguments) != len(functions) or not all(isinstance(a, dict) for a in arguments):
        content.refuse("postprocessing_kwargs", "an object for each function")
    rules = []
    for kwargs in arguments:
        labels = sorted(set(_flat(kwargs.get("labels_or_regions"))))
        known = {"labels_or_regions"} | ({"background_label"} if kwargs.get("background_label") == 0 else set())
        if set(kwargs) - known or not labels or not all(type(n) is int and 1 <= n <= LARGEST for n in labels):
            content.refuse("postprocessing_kwargs", "labels_or_regions with labels from 1 on")
        args = {"fields": "model", "applied_labels": labels, "independent": False, "connectivity": 3}
        rules.append({"name": "KeepLargestCC", "args": args})
    if not rules:
        return [], f"{path} has no rule: nothing improved the cross-validation"
    return rules, f"{len(rules)} largest-component rule{'s' * (len(rules) > 1)} of {path}"


def _flat(value: Any) -> list[Any]:
    """A label, labels, or regions of labels: components are those of all of them together."""
    return [entry for part in value for entry in _flat(part)] if isinstance(value, list) else [value]
