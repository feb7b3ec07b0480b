"""The post-transforms as stages, and which numbers of output channels they accept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpu_infer.errors import ConfigError
from gpu_infer.transforms.base import Transform
from gpu_infer.transforms.chain.fold import fold
from gpu_infer.transforms.chain.inference import FLOAT32, Inference
from gpu_infer.transforms.chain.liveness import live_after
from gpu_infer.transforms.chain.outputs import check_label_map
from gpu_infer.transforms.field import Fields, FieldState, Source
from gpu_infer.volume.geometry import Geometry, Orientation


class PostChain:
    """The stages from the model's result to label maps.

    inputs   the fields that exist before the inference
    outputs  the fields that are written
    """

    def __init__(
        self, transforms: Sequence[Transform], inference: Inference, inputs: set[str], outputs: tuple[str, ...]
    ) -> None:
        self._transforms = transforms
        self._inference = inference
        self._inputs = inputs
        self._outputs = outputs
        self.stages = fold(_without_first(transforms, inference.finalized))
        self.live = live_after(self.stages, outputs)
        self.kept_inputs = set(outputs).union(*(stage.reads for stage in self.stages)) & inputs
        """Fields from before the inference whose voxels the post-transforms read."""

    def check_classes(self, classes: int) -> None:
        """ConfigError if a model with `classes` output channels cannot give labels with this chain.

        A dry run on a small grid. It skips stages that work on a field from before the inference, whose number of
        channels is not known here.
        """
        fields = self._blank_fields(classes)
        self._inference.check_classes(fields[self._inference.result_field], classes)
        for stage in self.stages:
            if stage.field not in self._inputs:
                stage.run(fields, FLOAT32, None)
        for output in self._outputs:
            check_label_map(fields[output])

    def likely_classes(self) -> int:
        """Output channels of a model that this chain can work with; ConfigError if there are none."""
        result_field = self._inference.result_field
        expected = next((t.channels for t in self._transforms if t.channels and result_field in t.fields), None)
        refusal: ConfigError | None = None
        # what a transform expects can be the channels that remain after an argmax
        expects_scores = expected and self._inference.finalizer != "argmax"
        for classes in dict.fromkeys([expected or 2, 2, 1] if expects_scores else [2, 1]):
            try:
                self.check_classes(classes)
            except ConfigError as error:
                refusal = refusal or error
            else:
                return classes
        assert refusal is not None
        raise refusal

    @property
    def counts_ties(self) -> bool:
        """True if an operation that counts ties decides every label: an argmax, or masks by the accumulator.

        False if a threshold or a custom transform makes labels of scores after other work on them.
        """
        fields = self._blank_fields(self.likely_classes())
        for stage in self.stages:
            if stage.field in self._inputs:
                continue
            if stage.makes_labels_without_ties(fields):
                return False
            stage.run(fields, FLOAT32, None)
        return True

    def _blank_fields(self, classes: int) -> Fields:
        """Fields on a small grid as they are after the inference, without arrays."""
        source = Source(Geometry((64, 64, 64), np.eye(4)), Orientation.identity())
        input_field = self._inference.input_field
        origin = FieldState(
            input_field, 1, (64, 64, 64), FLOAT32, (1.0, 1.0, 1.0), source, properties=source.properties()
        )
        fields = {name: origin.copy(name=name) for name in self._inputs}
        fields[self._inference.result_field] = self._inference.result(origin, classes)
        return fields


def _without_first(transforms: Sequence[Transform], finalized: Transform | None) -> list[Transform]:
    """`transforms` without `finalized`, once: a configuration can refer to one transform several times."""
    others = list(transforms)
    if finalized is not None:
        others.remove(finalized)
    return others
