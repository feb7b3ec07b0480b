"""Several models in one run: what they must have in common, and the parts of a union."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.inferers.ensemble import Ensemble, unequal_weights
from gpu_infer.inferers.model_fit import Fit
from gpu_infer.inferers.modes import WindowMode
from gpu_infer.inferers.windows import WindowGrid
from gpu_infer.planning.memory_plan import Knobs, Placement
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.score_options import ScoreOptions
from gpu_infer.planning.window_choice import choose_knobs, place_windows
from gpu_infer.transforms.arguments import LARGEST_LABEL
from gpu_infer.transforms.chain.trace import Trace
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import TensorLayout
from gpu_infer.volume.geometry import format_shape


@dataclass(frozen=True)
class Part:
    """One model of a union, which has windows of its own.

    final_labels  the final label of each label of the model
    """

    model: ModelInfo
    fit: Fit
    layout: TensorLayout
    grid: WindowGrid
    final_labels: tuple[int, ...]


def check_common(models: Sequence[ModelInfo], path: object) -> None:
    """Raise ModelError unless all models take the same voxels, and answer scores of a known number of channels."""
    first = models[0]
    for n, model in enumerate(models):
        place = f"{path}: inferer.args.models[{n}]: model {model.name}"
        if model.answers_labels:
            raise ModelError(
                f"{place} answers labels ({model.output.datatype}), expected scores of each of several models",
                remedy="export it with float32 or float16 scores",
            )
        if len(model.input.dims) != len(first.input.dims):
            raise ModelError(
                f"{place} has {len(model.input.dims) - 1} spatial axes, model {first.name} has "
                f"{len(first.input.dims) - 1}, expected the same number",
                remedy="run 2-D and 3-D models by configurations of their own",
            )
        if model.input.dtype != first.input.dtype:
            raise ModelError(
                f"{place} takes {model.input.datatype}, model {first.name} takes {first.input.datatype}, expected the "
                "same datatype, because the volume is prepared once",
                remedy="export all models with one input datatype",
            )


def check_channels(model: ModelInfo, fit: Fit, path: object, number: int) -> None:
    """Raise ModelError if only a reply shows the number of the model's channels."""
    if fit.channels_out < 1:
        raise ModelError(
            f"{path}: inferer.args.models[{number}]: model {model.name} does not say how many channels "
            f"{model.output.name} has (dims {list(model.output.dims)}), expected a number for each of several models",
            remedy="write it into the dims of the output in config.pbtxt",
        )


def make_ensemble(inputs: RunInputs, models: Sequence[ModelInfo], fits: Sequence[Fit]) -> Ensemble:
    """The ensemble of models with equal windows and channels; raises ModelError for others."""
    first, fit = models[0], fits[0]
    for n, (model, other) in enumerate(zip(models, fits, strict=True)):
        if (other.window, other.channels_out) != (fit.window, fit.channels_out):
            raise ModelError(
                f"{inputs.config.path}: inferer.args.models[{n}]: model {model.name} has windows of "
                f"{format_shape(other.window)} and {other.channels_out} channels, model {first.name} has "
                f"{format_shape(fit.window)} and {fit.channels_out}, expected the same for a mean of scores",
                remedy='leave the model out, or set "combine": "union", which unites labels of different models',
            )
    entries = inputs.config.inferer.entries
    return Ensemble(tuple(models), unequal_weights([1.0 if e.weight is None else e.weight for e in entries]))


def final_labels(config: Config, fits: Sequence[Fit]) -> list[tuple[int, ...]]:
    """The final labels of each model of a union.

    Raises ConfigError if `labels` are not those of the model, or if two models have a final label in common.
    """
    labels: list[tuple[int, ...]] = []
    owners: dict[int, str] = {}
    for n, (entry, fit) in enumerate(zip(config.inferer.entries, fits, strict=True)):
        place = f"{config.path}: inferer.args.models[{n}]: model {entry.model_name}"
        if fit.channels_out < 2:
            raise ConfigError(
                f"{place} has 1 channel, of which an argmax makes no label, expected 2 or more",
                remedy="export it with a channel for the background",
            )
        try:
            mine = entry.final_labels(fit.channels_out)
        except ValueError as error:
            raise ConfigError(f"{place}: {error}", remedy="0 as final label leaves a label out") from None
        if max(mine) > LARGEST_LABEL:
            raise ConfigError(
                f"{place}: offset {entry.offset} makes the final label {max(mine)}, expected up to {LARGEST_LABEL}",
                remedy="give a smaller offset",
            )
        if common := sorted(set(mine) & owners.keys()):
            raise ConfigError(
                f"{place}: final label {common[0]} is one of model {owners[common[0]]} too, expected labels of its own",
                remedy="give a larger offset; RelabelValues in post_transforms joins labels",
            )
        owners |= {label: entry.model_name for label in mine if label}
        labels.append(mine)
    return labels


def make_parts(
    inputs: RunInputs,
    models: Sequence[ModelInfo],
    fits: Sequence[Fit],
    layout: TensorLayout,
    mode: WindowMode,
    trace: Trace,
    options: ScoreOptions | None,
) -> tuple[Part, ...]:
    """The passes of a union. Raises ConfigError if transforms or options need scores."""
    what = f"{inputs.config.path}: inferer.args.combine: a union makes labels of each model"
    if inputs.pipeline.finalizer != "argmax":
        raise ConfigError(
            f"{what}, the post_transforms work on scores",
            remedy="begin them with ArgmaxAcrossChannels, and restore labels to the file's grid after it",
        )
    if options is not None:
        raise ConfigError(f"--scores or --uncertainty: {what}, and no scores of them all", remedy="leave it out")
    labels = final_labels(inputs.config, fits)
    return tuple(
        Part(model, fit, layout, place_windows(inputs, trace.model_shape, fit, mode, layout), final)
        for model, fit, final in zip(models, fits, labels, strict=True)
    )


def most_knobs(
    inputs: RunInputs,
    models: Sequence[ModelInfo],
    fit: Fit,
    grid: WindowGrid,
    placement: Placement,
    parts: Sequence[Part],
) -> Knobs:
    """`choose_knobs` of the models; of the parts of a union, the largest batch and the most slots."""
    if not parts:
        return choose_knobs(inputs, models, fit, grid, placement)
    knobs = [choose_knobs(inputs, (part.model,), part.fit, part.grid, placement) for part in parts]
    return replace(knobs[0], batch=max(each.batch for each in knobs), slots=max(each.slots for each in knobs))
