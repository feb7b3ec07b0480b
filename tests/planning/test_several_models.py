"""The plan of several models: sizes by hand, and what they must have in common."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planned_runs import inputs_of, model_of

from gpu_infer.errors import ConfigError, GpuInferError, ModelError
from gpu_infer.planning.memory_plan import INLINE_COPIES, Placement
from gpu_infer.planning.run_inputs import model_entries
from gpu_infer.planning.run_plan import RunPlan, make_plan, replan_for_grid
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.registry import TRANSFORMS
from gpu_infer.triton.model.info import ModelInfo

SHAPE, WINDOW = (64, 60, 50), (32, 32, 32)
VOXELS, PATCH = 64 * 60 * 50, 32**3
PARTS: list[dict[str, Any]] = [{"model_name": "a", "offset": 0}, {"model_name": "b", "labels": [300, 0]}]


def named(name: str, classes: int, window: tuple[int, int, int] = WINDOW, **changes: Any) -> ModelInfo:
    return replace(model_of(classes, window, max_batch=4), name=name, **changes)


def plan(
    folder: Path,
    models: list[ModelInfo],
    entries: list[Any],
    placement: Placement | None = None,
    options: dict[str, Any] | None = None,
    **inferer: Any,
) -> RunPlan:
    inputs = inputs_of(folder, SHAPE, options=options, model_name=None, models=entries, **inferer)
    return make_plan(inputs, models[0], placement=placement or Placement(), further=models[1:])


def half(model: ModelInfo) -> ModelInfo:
    """The model with float16 scores."""
    return replace(model, output=replace(model.output, dtype=np.dtype(np.float16), datatype="FP16"))


def test_sizes_of_a_mean(tmp_path: Path) -> None:
    made = plan(tmp_path, [named("a", 3), half(named("b", 3, max_batch=2))], ["a", "b"])
    sizes, memory = made.memory.sizes, made.memory
    assert sizes.window == PATCH * (4 + 3 * 4 + 3 * 2)  # one input for both
    assert (sizes.importance, sizes.result) == (0, VOXELS)
    assert sizes.full_accumulator == 3 * VOXELS * 4
    assert memory.knobs.batch == 2  # what both take
    assert memory.slot_bytes == 2 * sizes.window
    inline = replace(memory, placement=Placement(message_copies=INLINE_COPIES["grpc"]))
    assert inline.message_bytes == INLINE_COPIES["grpc"] * memory.knobs.slots * 2 * PATCH * (2 * 4 + 3 * 4 + 3 * 2)
    assert made.model_names == "a, b"
    smaller = replan_for_grid(made, (32, 33, 34))
    assert (smaller.grid.shape, smaller.grid.models, smaller.memory.knobs.batch) == ((32, 33, 34), 2, 2)
    assert "model b version 1, weight 0.5: 1 → 3 channels, FP32" in made.lines()


def test_weights_need_an_importance_map_of_each_model_and_their_sum(tmp_path: Path) -> None:
    models = [named("a", 3), named("b", 3)]
    entries = ["a", {"model_name": "b", "weight": 3}]
    made = plan(tmp_path, models, entries)
    assert made.ensemble is not None
    assert made.ensemble.weights == (0.25, 0.75)
    assert made.memory.sizes.importance == 2 * PATCH * 4
    assert made.memory.sizes.full_accumulator == 3 * VOXELS * 4
    options = {"scores": "1", "scores_activation": "softmax"}
    assert plan(tmp_path, models, entries, options=options).memory.sizes.full_accumulator == 4 * VOXELS * 4
    assert plan(tmp_path, models, ["a", "b"], options=options).memory.sizes.full_accumulator == 3 * VOXELS * 4


def test_sizes_of_a_union_are_the_largest_of_its_passes(tmp_path: Path) -> None:
    """The first model has more classes, the second larger windows; both have a union in uint16 next to their labels."""
    made = plan(tmp_path, [named("a", 9), named("b", 3, (40, 48, 48))], PARTS, combine="union")
    sizes = made.memory.sizes
    assert sizes.window == max(PATCH * 4 * 10, 40 * 48 * 48 * 4 * 4)
    assert sizes.full_accumulator == 9 * VOXELS * 4
    assert sizes.slab_accumulator == 9 * 32 * 60 * 50 * 4  # along X, on which it is smallest
    assert sizes.result == VOXELS + 2 * VOXELS
    assert sizes.computed == 2 * VOXELS
    passes = [made.for_part(part) for part in made.parts]
    assert [each.fit.window for each in passes] == [WINDOW, (40, 48, 48)]
    assert all(each.memory.knobs.batch <= made.memory.knobs.batch for each in passes)
    assert made.parts[1].final_labels == (0, 300, 0)
    smaller = replan_for_grid(made, (32, 33, 34))
    assert [part.grid.shape for part in smaller.parts] == [(32, 33, 34)] * 2
    assert smaller.grid == smaller.parts[0].grid


def test_slots_are_no_more_than_each_queue_takes(tmp_path: Path) -> None:
    models = [named("a", 3), named("b", 3, queue=4)]
    assert plan(tmp_path, models, ["a", "b"], options={"slots": 6}).memory.knobs.slots == 4
    both = [replace(models[1], output=replace(models[1].output, name=name)) for name in ("x", "y")]
    entries = [{"model_name": "b", "output_name": name} for name in ("x", "y")]
    assert plan(tmp_path, both, entries, options={"slots": 6}).memory.knobs.slots == 2


def labels(model: ModelInfo) -> ModelInfo:
    return replace(model, output=replace(model.output, dtype=np.dtype(np.uint8), datatype="UINT8"))


def of_slices(model: ModelInfo) -> ModelInfo:
    tensors = {"input": replace(model.input, dims=(1, 32, 32)), "output": replace(model.output, dims=(3, 32, 32))}
    return replace(model, **tensors)


def takes_half(model: ModelInfo) -> ModelInfo:
    return replace(model, input=replace(model.input, dtype=np.dtype(np.float16), datatype="FP16"))


def dynamic(model: ModelInfo) -> ModelInfo:
    return replace(model, output=replace(model.output, dims=(-1, *WINDOW)))


@pytest.mark.parametrize("combine", ["mean", "union"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (labels, r"models\[1\]: model b answers labels \(UINT8\), expected scores of each of several models"),
        (of_slices, r"models\[1\]: model b has 2 spatial axes, model a has 3, expected the same number"),
        (takes_half, r"models\[1\]: model b takes FP16, model a takes FP32, expected the same datatype"),
        (dynamic, r"models\[1\]: model b does not say how many channels OUTPUT has \(dims \[-1, 32, 32, 32\]\)"),
    ],
)
def test_models_that_have_too_little_in_common(tmp_path: Path, combine: str, change: Any, message: str) -> None:
    entries = PARTS if combine == "union" else ["a", "b"]
    with pytest.raises(ModelError, match=message):
        plan(tmp_path, [named("a", 3), change(named("b", 3))], entries, combine=combine)


@pytest.mark.parametrize(
    ("second", "entries", "arguments", "message"),
    [
        (named("b", 4), ["a", "b"], {}, r"model b has windows of 32×32×32 and 4 channels, model a has 32×32×32 and 3"),
        (named("b", 3, (16, 16, 16)), ["a", "b"], {}, r"model b has windows of 16×16×16 and 3 channels, model a"),
        (named("b", 3), [PARTS[0], {"model_name": "b", "labels": [4]}], {"combine": "union"}, "labels lacks 2"),
        (named("b", 1), PARTS, {"combine": "union"}, "model b has 1 channel, of which an argmax makes no label"),
        (
            named("b", 3),
            [PARTS[0], {"model_name": "b", "offset": 65535}],
            {"combine": "union"},
            "offset 65535 makes the final label 65537, expected up to 65535",
        ),
        (
            named("b", 3),
            [PARTS[0], {"model_name": "b", "offset": 1}],
            {"combine": "union"},
            "final label 2 is one of model a too",
        ),
    ],
)
def test_what_is_refused(
    tmp_path: Path, second: ModelInfo, entries: list[Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(GpuInferError, match=message):
        plan(tmp_path, [named("a", 3), second], entries, **arguments)


def test_a_union_needs_an_argmax_and_has_no_scores(tmp_path: Path) -> None:
    models = [named("a", 3), named("b", 3)]
    with pytest.raises(ConfigError, match="a union makes labels of each model, and no scores of them all"):
        plan(tmp_path, models, PARTS, combine="union", options={"scores": "1", "scores_activation": "softmax"})
    inputs = inputs_of(tmp_path, SHAPE, model_name=None, models=PARTS, combine="union")
    masks = Pipeline(inputs.pipeline.pre, [TRANSFORMS["ThresholdValues"](fields="model", threshold=0.5)])
    with pytest.raises(ConfigError, match="a union makes labels of each model, the post_transforms work on scores"):
        make_plan(replace(inputs, pipeline=masks), models[0], further=models[1:])


def test_the_option_model_contradicts_several_models(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, SHAPE, options={"model_name": "c"}, model_name=None, models=["a", "b"])
    with pytest.raises(ConfigError, match="--model c: the configuration lists 2 models"):
        model_entries(inputs.config, inputs.settings)
