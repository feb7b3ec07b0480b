"""Which label a channel of the model's scores belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_infer.choices import ScoresActivation
from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import ChannelMask, ChannelReduction, Metadata, Restore, Transform
from gpu_infer.transforms.chain.pipeline import Pipeline


@dataclass(frozen=True)
class ScoreChannels:
    """The channels of a chain whose labels are those of the model.

    is_mask     False: an argmax makes labels of channels, and channel n has the scores of label n. True: a threshold
                makes label 1 of the only channel
    activation  what makes probabilities of the scores, by the configuration; None: it does not say
    """

    is_mask: bool
    activation: ScoresActivation | None = None

    def labels(self, classes: int) -> tuple[int, ...]:
        """The labels that have scores, for a model with `classes` output channels, in the order of the channels.

        Raises ConfigError for masks of several channels.
        """
        if not self.is_mask:
            return tuple(range(classes))
        if classes != 1:
            raise ConfigError(
                f"--scores: the model has {classes} channels with a threshold each, expected 1",
                remedy="scores belong to labels only with ArgmaxAcrossChannels, or with one channel and a threshold",
            )
        return (1,)


def score_channels(pipeline: Pipeline, option: str) -> ScoreChannels:
    """What the channels of the model's scores are; `option` begins the error.

    Raises ConfigError if the post-transforms work on scores before they make labels, number labels anew, or make other
    fields that are written.
    """
    if pipeline.outputs != (pipeline.result_field,):
        raise ConfigError(
            f"{option}: the label maps are made of the fields {', '.join(pipeline.outputs)}, expected "
            f"{pipeline.result_field!r} alone, whose labels are the channels of the model",
            remedy="write that field, or leave the option out",
        )
    maker: Transform | None = None
    for transform in (t for t in pipeline.post if pipeline.result_field in t.fields):
        if maker is not None:
            if not transform.keeps_label_numbers:
                raise _refusal(option, transform, "may number labels anew")
        elif isinstance(transform, (ChannelReduction, ChannelMask)) and transform.finalizer is not None:
            maker = transform
        elif not isinstance(transform, (Metadata, Restore)):
            raise _refusal(option, transform, "works on scores before they are labels")
    if isinstance(maker, ChannelMask):
        return ScoreChannels(True, "sigmoid" if maker.takes_sigmoid else None)
    if len(pipeline.left_out) > 1:
        raise ConfigError(
            f"{option}: the configuration has {len(pipeline.left_out)} activations of the scores, expected one at most",
            remedy="leave one of them out",
        )
    return ScoreChannels(False, pipeline.left_out[0] if pipeline.left_out else None)


def _refusal(option: str, transform: Transform, reason: str) -> ConfigError:
    return ConfigError(
        f"{option}: {transform.place} {reason}, so that no score belongs to a label",
        remedy="leave the option or the transform out",
    )
