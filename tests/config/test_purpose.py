"""Files of Clara Train that are no configuration of one segmentation are refused by what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_files import component, load, lung

from gpu_infer.errors import ConfigError

CHAIN = [component("LoadNifti", fields=["image", "label"])]
TRAINING = {"epochs": 9, "train": {"loss": {}, "pre_transforms": CHAIN}, "validate": {"pre_transforms": CHAIN}}
SEARCH = [{"domain": "transform", "type": "enum", "args": ["@disabled"], "targets": [[True], [False]]}]
MONAI = {"name": "LoadImaged", "args": {"keys": "image"}}
INSTEAD = "give the config_validation.json or config_aiaa.json of the model"
NO_CLASSES = (
    "is for a model that classifies images, expected segmentation (use a model whose output is a label per voxel)"
)
NO_POINTS = (
    "is for a model that needs points that a user sets in a viewer, expected segmentation "
    "(use a model that segments without points)"
)
ONE_VALUE = (
    "belongs to AutoML, which trains a model for each of these values, expected one value of each argument "
    '(leave the key "search" out, and write the values of the best model)'
)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (TRAINING, f"is a training configuration of Clara Train, expected one for inference ({INSTEAD})"),
        (
            {**TRAINING, "search": SEARCH},
            f"is a training configuration of Clara Train for AutoML, expected one for inference ({INSTEAD})",
        ),
        (
            {"handlers": [], "executor": {"name": "MMARExecutor"}, "controller": {"name": "ReinforcementController"}},
            f"is the configuration of an AutoML controller of Clara Train, expected one for inference ({INSTEAD})",
        ),
        (lung(search=SEARCH), f"search: {ONE_VALUE}"),
        (
            lung(pre_transforms=[component("LoadNifti", fields="image"), {"name": "X", "search": SEARCH}]),
            f"pre_transforms[1].search: {ONE_VALUE}",
        ),
        (lung(type="classification"), f'type: "classification" {NO_CLASSES}'),
        (
            lung(post_transforms=[component("ProcessMulticlassPreds", field="model")]),
            f"post_transforms[0].name: ProcessMulticlassPreds {NO_CLASSES}",
        ),
        (
            lung(writers=[component("WriteClassificationResult", field="model")]),
            f"writers[0].name: WriteClassificationResult {NO_CLASSES}",
        ),
        (
            lung(writers=None, writer=component("ClassificationResultWriter", field="model")),
            f"writer.name: ClassificationResultWriter {NO_CLASSES}",
        ),
        (lung(type="deepgrow"), f'type: "deepgrow" {NO_POINTS}'),
        (
            lung(type="pipeline"),
            'type: "pipeline" calls other models of an annotation server, expected segmentation '
            "(give the configuration of one of these models)",
        ),
        (
            lung(pre_transforms=[MONAI], evaluator={"name": "SupervisedEvaluator"}),
            "is a configuration of Clara Train 4 (it has evaluator), whose components are MONAI's, expected a "
            "config_inference.json (docs/from-monai-deploy.md shows a translation)",
        ),
        (
            {"dataloader": {"name": "DataLoader"}, "evaluator": {"name": "SupervisedEvaluator"}},
            "is a configuration of Clara Train 4 (it has evaluator, dataloader), whose components are MONAI's, "
            "expected a config_inference.json (docs/from-monai-deploy.md shows a translation)",
        ),
        (
            lung(inferer=None, pre_transforms=[MONAI], inference={"input": "image", "AIAA": {}, "TRITON": {}}),
            "is a configuration of Clara Train 4 (it has inference.TRITON, inference.AIAA), whose components are "
            "MONAI's, expected a config_inference.json (docs/from-monai-deploy.md shows a translation)",
        ),
    ],
)
def test_one_line_says_what_the_file_is(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, document)
    text = str(caught.value).removeprefix(f"{tmp_path}/config_inference.json: ")
    assert text == message


def test_a_model_of_an_exported_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'json: chest_v1\.type: "classification" is for a model that classifies'):
        load(tmp_path, {"chest_v1": lung(type="classification")})


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "segmentation"},
        {"type": "others"},
        {"evaluator": {"name": "SupervisedEvaluator"}, "dataloader": {}},
        {"writers": [{"name": "WriteClassificationResult", "disabled": True}, component("WriteNifti", field="model")]},
        {"controller": {}, "executor": {}},
    ],
)
def test_what_has_no_effect_is_not_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    load(tmp_path, lung(**changes))
