"""What --scores and --uncertainty ask for, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_plans import GPU_PLAN, HOST_PLAN, changed
from planned_runs import inputs_of, model_of

from gpu_infer.config.load import load_config
from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.inferers.score_plan import ScorePlan
from gpu_infer.planning.fallbacks import fit_memory
from gpu_infer.planning.free_memory import FreeMemory
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.planning.score_options import ScoreOptions, score_options
from gpu_infer.settings import Settings

ARGMAX = {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}}
RESTORE = {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": True}}
THRESHOLD = {"name": "ThresholdValues", "args": {"fields": "model", "threshold": 0.5}}
LOGITS = {"name": "ThresholdValues", "args": {"fields": "model", "threshold": 0.5, "sigmoid": True}}
LARGEST = {"name": "KeepLargestCC", "args": {"fields": "model"}}
NAMES = {"1": "lung", "2": "Left kidney"}


def options_of(folder: Path, *post: dict[str, Any], fields: tuple[str, ...] = ("model",), **options: Any) -> Any:
    content = {
        "pre_transforms": [{"name": "LoadNifti", "args": {"fields": "image"}}],
        "post_transforms": list(post),
        "writers": [{"name": "WriteNifti", "args": {"field": field, "dtype": "uint8"}} for field in fields],
        "inferer": {"name": "TRTISScanWindowInferer", "args": {"model_name": "many"}},
        "labels": NAMES,
    }
    path = folder / "config_inference.json"
    path.write_text(json.dumps(content))
    config = load_config(path, {})
    return score_options(Settings(input=folder, output=folder, config=path, **options), config, config.pipeline())


def plan_of(folder: Path, classes: int, *post: dict[str, Any], **options: Any) -> ScorePlan:
    chosen = options_of(folder, *post, **options)
    assert isinstance(chosen, ScoreOptions)
    return chosen.plan(classes)


def test_nothing_is_asked_for(tmp_path: Path) -> None:
    assert options_of(tmp_path, ARGMAX) is None


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("all", (0, 1, 2)),
        (" ALL ", (0, 1, 2)),
        ("2", (2,)),
        ("2,0", (2, 0)),
        ("lung, left kidney", (1, 2)),
        ("0,lung", (0, 1)),
    ],
)
def test_labels_by_number_and_name(tmp_path: Path, text: str, labels: tuple[int, ...]) -> None:
    plan = plan_of(tmp_path, 3, RESTORE, ARGMAX, LARGEST, scores=text)
    assert (plan.labels, plan.channels, plan.uncertainty) == (labels, labels, False)
    assert plan.background == tuple(label == 0 for label in labels)
    assert plan.maps == len(labels)


def test_a_mask_is_label_1(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 1, THRESHOLD, RESTORE, scores="lung", uncertainty=True)
    assert (plan.labels, plan.channels, plan.background, plan.maps) == ((1,), (0,), (False,), 2)
    assert (plan.activation, plan.exclusive, plan.check) == ("none", False, "range")
    assert plan_of(tmp_path, 1, LOGITS, scores="all").activation == "sigmoid"
    assert plan_of(tmp_path, 1, LOGITS, scores="all", scores_activation="none").activation == "none"


@pytest.mark.parametrize(
    ("options", "activation", "exclusive", "check"),
    [
        ({}, "none", True, "sum"),
        ({"scores_activation": "none"}, "none", True, "range"),
        ({"scores_activation": "none", "uncertainty": True}, "none", True, "sum"),
        ({"scores_activation": "softmax"}, "softmax", True, None),
        ({"scores_activation": "sigmoid"}, "sigmoid", False, None),
    ],
)
def test_what_makes_probabilities(
    tmp_path: Path, options: dict[str, Any], activation: str, exclusive: bool, check: str | None
) -> None:
    plan = plan_of(tmp_path, 3, ARGMAX, scores="1", **options)
    assert (plan.activation, plan.exclusive, plan.check) == (activation, exclusive, check)


def test_uncertainty_alone(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, 3, ARGMAX, uncertainty=True)
    assert (plan.labels, plan.maps, plan.check) == ((), 1, "sum")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": "liver"}, r"--scores: found 'liver', expected the number of a label, or one of lung, Left kidney"),
        ({"scores": ""}, "--scores: found ''"),
        ({"scores": "1,,2"}, "--scores: found ''"),
        ({"scores": "-1"}, "--scores: found '-1'"),
        ({"scores": "1,lung"}, "--scores: label 1 is listed twice"),
        ({"scores_format": "nrrd"}, "--scores-format needs --scores or --uncertainty"),
        ({"scores_dtype": "float32"}, "--scores-dtype needs --scores or --uncertainty"),
        ({"scores_activation": "softmax"}, "--scores-activation needs --scores or --uncertainty"),
        ({"scores": "1", "scores_dtype": "float16"}, "--scores-dtype: found 'float16', expected one of uint8, float32"),
    ],
)
def test_options_that_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options_of(tmp_path, ARGMAX, **options)


def test_labels_that_the_model_lacks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="label 7 has no scores, the model has those of labels 0 to 2"):
        plan_of(tmp_path, 3, ARGMAX, scores="1,7")
    with pytest.raises(ConfigError, match="label 0 has no scores, the model has those of label 1"):
        plan_of(tmp_path, 1, THRESHOLD, scores="0")
    with pytest.raises(ConfigError, match="the model has 2 channels with a threshold each, expected 1"):
        plan_of(tmp_path, 2, THRESHOLD, scores="1")
    assert plan_of(tmp_path, -1, ARGMAX, scores="7").channels == (7,)  # dynamic classes, before the model is asked
    assert plan_of(tmp_path, -1, ARGMAX, scores="all").channels == (0, 1)


SPLIT = {"name": "SplitAcrossChannels", "args": {"field": "model", "channel_names": ["a", "b"]}}
SCALE = {"name": "ScaleIntensityRange", "args": {"fields": "model", "a_min": 0, "a_max": 1, "b_min": 0, "b_max": 2}}


@pytest.mark.parametrize(
    ("post", "fields", "message"),
    [
        ((SCALE, ARGMAX), ("model",), r".*post_transforms\[0\]: ScaleIntensityRange works on scores before they are"),
        ((THRESHOLD, SPLIT), ("a", "b"), "the label maps are made of the fields a, b, expected 'model' alone"),
    ],
)
def test_chains_whose_labels_are_not_the_channels(
    tmp_path: Path, post: tuple[dict[str, Any], ...], fields: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"--uncertainty: {message}"):
        options_of(tmp_path, *post, fields=fields, uncertainty=True)


def test_softmax_of_one_channel(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="whose softmax is always 1"):
        options_of(tmp_path, THRESHOLD, scores="1", scores_activation="softmax")


def test_the_plan_of_a_run_counts_the_maps(tmp_path: Path) -> None:
    shape = (20, 30, 40)
    without = make_plan(inputs_of(tmp_path, shape), model_of(3, (20, 30, 10)))
    inputs = inputs_of(tmp_path, shape, options={"scores": "1,2", "uncertainty": True})
    plan = make_plan(inputs, model_of(3, (20, 30, 10)))
    assert without.scores is None
    assert without.memory.sizes.scores == 0
    assert plan.memory.sizes.scores == 3 * 20 * 30 * 40 * 4
    assert plan.memory.sizes.scores_finalize == (3 + 1) * 20 * 30 * 10 * 4
    assert "probabilities on the model grid (float32)" in "\n".join(plan.lines())
    with pytest.raises(ConfigError, match="label 3 has no scores"):
        make_plan(inputs_of(tmp_path, shape, options={"scores": "3"}), model_of(3, (20, 30, 10)))


def test_peaks_by_hand() -> None:
    sizes = {"scores": 5000, "scores_finalize": 40, "scores_restore": 300, "scores_write": 70}
    host = changed(HOST_PLAN, **sizes)
    infer = 200 + 3 * 4 * 30 + 1000 + 50 + 40  # prepared, slots, accumulator, result, scores that become probabilities
    assert host.host_peak == 100 + 5000 + infer
    assert changed(host, half=True).host_peak == 100 + 2500 + infer
    assert changed(host, scores_write=9000).host_peak == 100 + 5000 + 60 + 300 + 9000
    gpu = changed(GPU_PLAN, **sizes)
    assert gpu.device_peak == GPU_PLAN.device_peak + 5040
    assert gpu.host_peak == max(GPU_PLAN.host_peak, gpu.sizes.program + (32 << 20) + 100 + 60 + 70)
    on_host = changed(gpu, host_sums=True)
    assert on_host.device_peak == changed(GPU_PLAN, host_sums=True).device_peak
    assert on_host.host_peak == changed(GPU_PLAN, host_sums=True).host_peak + 5040


def test_the_last_fallback_is_float16() -> None:
    plan = changed(HOST_PLAN, scores=5000, scores_finalize=40, slots=1, batch=1, slab=True)
    fitted, lines = fit_memory(plan, FreeMemory(host=plan.host_peak - 1))
    assert fitted == replace(plan, knobs=replace(plan.knobs, half=True))
    assert lines[0].endswith("probabilities wait in float16, rounded to 11 bits")
    with pytest.raises(ResourceError) as failure:
        fit_memory(plan, FreeMemory(host=100))
    assert "write --scores of fewer labels" in str(failure.value)
