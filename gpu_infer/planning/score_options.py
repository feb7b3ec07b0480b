"""The options --scores and --uncertainty: checked before a run, and resolved when the model's classes are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gpu_infer.choices import ScoresActivation, ScoresDtype, ScoresFormat
from gpu_infer.config.config import Config
from gpu_infer.errors import ConfigError
from gpu_infer.inferers.score_plan import ScorePlan
from gpu_infer.label_table.table import BACKGROUND, LabelTable
from gpu_infer.settings import Settings
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.transforms.chain.score_channels import ScoreChannels, score_channels

ALL = "all"
_REMEDY = 'write for example --scores 1,3, names of labels.json, or "all"'


@dataclass(frozen=True)
class ScoreOptions:
    """What the options ask for.

    labels       None: all that have scores
    activation   None: by the configuration, else the scores have to be probabilities
    """

    channels: ScoreChannels
    labels: tuple[int, ...] | None
    uncertainty: bool
    activation: ScoresActivation | None

    def plan(self, classes: int) -> ScorePlan:
        """The maps for a model with `classes` output channels; if that is not known (-1), for as many as are asked for.

        Raises ConfigError for labels that the model does not have.
        """
        if classes < 1:
            classes = 1 if self.channels.is_mask else max(1, *(self.labels or (1,))) + 1
        known = self.channels.labels(classes)
        labels = known if self.labels is None else self.labels
        for label in labels:
            if label not in known:
                raise ConfigError(
                    f"--scores: label {label} has no scores, the model has those of {_format_labels(known)}",
                    remedy=_REMEDY,
                )
        activation = self.activation or self.channels.activation or "none"
        exclusive = activation == "softmax" or (activation == "none" and not self.channels.is_mask)
        return ScorePlan(
            labels=labels,
            channels=tuple(known.index(label) for label in labels),
            background=tuple(label == BACKGROUND for label in labels),
            uncertainty=self.uncertainty,
            activation=activation,
            exclusive=exclusive,
            check=self._check(activation),
        )

    def _check(self, activation: ScoresActivation) -> Literal["range", "sum"] | None:
        """The sum, too, if no option says that the scores are probabilities, or if an entropy needs it."""
        if activation != "none":
            return None
        adds_up = not self.channels.is_mask and (self.activation is None or self.uncertainty)
        return "sum" if adds_up else "range"


def score_options(settings: Settings, config: Config, pipeline: Pipeline) -> ScoreOptions | None:
    """What the options ask for; None if nothing.

    Raises ConfigError for a label that is neither a number nor a name, an option without effect, or a configuration
    whose labels are not the channels of the model.
    """
    if settings.scores is None and not settings.uncertainty:
        for name in ("format", "dtype", "activation"):
            if getattr(settings, f"scores_{name}") is not None:
                raise ConfigError(
                    f"--scores-{name} needs --scores or --uncertainty", remedy="add one of them, or leave it out"
                )
        return None
    option = "--uncertainty" if settings.scores is None else "--scores"
    if config.own_inferer is not None:
        raise ConfigError(
            f"{option}: probabilities are made while windows are blended, and {config.own_inferer.label} is a custom "
            "inferer",
            remedy="leave it out, or use a scanning-window inferer",
        )
    channels = score_channels(pipeline, option)
    if channels.is_mask and settings.scores_activation == "softmax":
        raise ConfigError(
            "--scores-activation softmax: the labels are made by a threshold on one channel, whose softmax is always 1",
            remedy="give --scores-activation sigmoid, or none",
        )
    labels = () if settings.scores is None else _labels(settings.scores, config.labels)
    return ScoreOptions(channels, labels, settings.uncertainty, settings.scores_activation)


def score_format(settings: Settings) -> ScoresFormat:
    """Of the files."""
    return settings.scores_format or "nii.gz"


def score_dtype(settings: Settings) -> ScoresDtype:
    """Of the voxels in the files."""
    return settings.scores_dtype or "uint8"


def _labels(text: str, table: LabelTable) -> tuple[int, ...] | None:
    """The labels of "1,3" or "lung,7" in their order; None for "all"."""
    if text.strip().lower() == ALL:
        return None
    names = {label.name.casefold(): number for number, label in table.described.items()}
    labels: list[int] = []
    for word in text.split(","):
        name = word.strip()
        number = names.get(name.casefold())
        if number is None and name.isascii() and name.isdecimal() and len(name) < 10:
            number = int(name)
        if number is None:
            known = f", or one of {', '.join(label.name for label in table.described.values())}" if names else ""
            raise ConfigError(f"--scores: found {name!r}, expected the number of a label{known}", remedy=_REMEDY)
        if number in labels:
            raise ConfigError(f"--scores: label {number} is listed twice", remedy="list every label once")
        labels.append(number)
    return tuple(labels)


def _format_labels(labels: tuple[int, ...]) -> str:
    return f"label {labels[0]}" if len(labels) == 1 else f"labels {labels[0]} to {labels[-1]}"
