"""The pipeline of a run: pre-transforms, inference and post-transforms, in as few passes over voxels as possible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.base.upload import Upload
from gpu_infer.backends.filters import ON_CPU, FilterName, FilterPlaces
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.choices import ScoresActivation
from gpu_infer.errors import ModelError
from gpu_infer.transforms.base import Activation, Load, Transform
from gpu_infer.transforms.chain.activations import without_needless_activations
from gpu_infer.transforms.chain.checks import check, check_outputs
from gpu_infer.transforms.chain.fold import fold
from gpu_infer.transforms.chain.inference import FLOAT32, FinalizerName, Inference, finalized_transform
from gpu_infer.transforms.chain.liveness import drop_others, live_after
from gpu_infer.transforms.chain.outputs import fields_off_grid, is_restored, labels_of_file
from gpu_infer.transforms.chain.post_chain import PostChain
from gpu_infer.transforms.chain.strips import StripChain, make_strip_chain
from gpu_infer.transforms.chain.trace import Trace, Tracer
from gpu_infer.transforms.field import DType, Fields, FieldState, Source
from gpu_infer.volume.geometry import Geometry, Orientation
from gpu_infer.volume.volume import Volume

__all__ = ["Pipeline", "Trace"]


class Pipeline:
    """Both chains of a configuration, checked and folded; it holds no volume and can be used for many.

    input_field   the field that is loaded and goes to the model
    result_field  the field that the model's output becomes
    left_out      activations of the scores that change no label
    outputs       the fields that are written, label maps of one channel: the result field unless others are named
    finalizer     "argmax": the inferer returns labels [X, Y, Z] (the accumulator takes the argmax row by row);
                  "masks": uint8 masks [K, X, Y, Z] (it compares with `thresholds` row by row); "scores": float32
                  scores [K, X, Y, Z], or probabilities by `activation`
    """

    def __init__(
        self,
        pre: Iterable[Transform],
        post: Iterable[Transform],
        *,
        result_field: str | None = None,
        outputs: Sequence[str] | None = None,
        inferer: str = "",
    ) -> None:
        """ConfigError if the chains cannot work, or make no labels in `outputs`: see `checks`.

        `inferer` is the name of a custom inferer.
        """
        self.pre, configured = tuple(pre), tuple(post)
        names = check(self.pre, configured, result_field)
        self.post = without_needless_activations(configured)
        self.input_field, self.result_field = names.input, names.result
        self.left_out = tuple(
            t.activation
            for t in configured
            if isinstance(t, Activation) and t.fields == (names.result,) and not any(t is kept for kept in self.post)
        )
        self.outputs = tuple(outputs) if outputs else (names.result,)
        check_outputs(names, self.outputs)
        self._load = next(t for t in self.pre if isinstance(t, Load))
        finalized = finalized_transform(self.post, names.result)
        self.finalizer: FinalizerName = (finalized.finalizer if finalized else None) or "scores"
        self._inference = Inference(names.input, names.result, finalized, self.finalizer, inferer)
        self.pre_stages = fold(self.pre)
        own = [s for s in self.pre_stages if s.field in (self.input_field, None) and s.touches_voxels]
        self._last_pass = own[-1]  # it writes the model's dtype, stages before it write float32
        inputs = {self.input_field, *(name for t in self.pre for name in t.creates)}
        self._post_chain = PostChain(self.post, self._inference, inputs, self.outputs)
        self.post_stages = self._post_chain.stages
        self._pre_live = live_after(self.pre_stages, {self.input_field, *self._post_chain.kept_inputs})
        self._post_chain.likely_classes()

    @property
    def grid_decided_by_voxels(self) -> bool:
        """True if the model's grid depends on voxel values: `trace` then gives an upper bound of it, and `prepare` the
        grid itself."""
        return any(t.decided_by_voxels for t in self.pre)

    @property
    def input_files(self) -> tuple[str, ...]:
        """Patterns of the files that become the channels of the input, in order; empty for one file of any name."""
        return self._load.files

    @property
    def nan(self) -> float | None:
        """Value in physical units that replaces voxels that are NaN or infinite; None: they stay."""
        return self._load.nan

    @property
    def library_filters(self) -> dict[FilterName, list[str]]:
        """The filters of libraries that it applies, with the names of the transforms that apply them."""
        names: dict[FilterName, list[str]] = {}
        for transform in (*self.pre, *self.post):
            for name in transform.library_filters:
                names.setdefault(name, []).append(transform.label)
        return names

    @property
    def counts_ties(self) -> bool:
        """True if an operation that counts ties decides every label: an argmax, or masks by the accumulator.

        False if a threshold or a custom transform makes labels of scores after other work on them.
        """
        return self._post_chain.counts_ties

    @property
    def activation(self) -> ScoresActivation | None:
        """What the accumulator makes of the scores, if `finalizer` is "scores": probabilities, or nothing."""
        return self._inference.activation

    def thresholds(self, classes: int) -> tuple[float, ...]:
        """Threshold of each of `classes` channels of scores; ValueError if `finalizer` is not "masks"."""
        return self._inference.thresholds(classes)

    def check_classes(self, classes: int) -> None:
        """ConfigError if a model with `classes` output channels cannot give labels with this chain."""
        self._post_chain.check_classes(classes)

    # -- what it will do ------------------------------------------------------------------------------------
    def describe(self) -> list[str]:
        """Numbered lines, one per stage, as they will run."""
        lines = [stage.line() for stage in self.pre_stages]
        lines.append(self._inference.line())
        lines += [stage.line() for stage in self.post_stages]
        off_grid = fields_off_grid(self.pre, self.post, self.input_field, self.result_field)
        for output in self.outputs:
            if output in off_grid:
                lines.append(f"{output}: back to the file's grid, nearest (no RestoreOriginalShape)")
            lines.append(f"{output}: delivered in the file's axis order")
        return [f"{n}. {line}" for n, line in enumerate(lines, start=1)]

    def trace(
        self,
        volume_channels: int,
        geometry: Geometry,
        stored_dtype: DTypeLike,
        dtype: DTypeLike = np.float32,
        classes: int | None = None,
        places: FilterPlaces = ON_CPU,
    ) -> Trace:
        """Shapes, dtypes and bytes per stage for a volume, without voxels.

        If `grid_decided_by_voxels`, shapes are upper bounds.

        Args:
            volume_channels: Channels of the volume.
            geometry: Of the volume; shape (I, J, K) in stored order.
            stored_dtype: Of the volume's voxels.
            dtype: Of the model's input.
            classes: Output channels of the model; None if unknown: as many as the post-transforms expect, or 2.
            places: Where filters of libraries are computed.

        Raises:
            ConfigError: `check_classes` does not accept `classes`.
        """
        if classes is None:
            classes = self._post_chain.likely_classes()
        self.check_classes(classes)
        tracer, model_dtype = Tracer(places), np.dtype(dtype)
        source = Source(geometry, self._load.orientation(geometry))
        state = self._loaded(volume_channels, np.dtype(stored_dtype), source)
        tracer.upload(state)
        fields: Fields = {self.input_field: state}
        for stage, live in zip(self.pre_stages, self._pre_live, strict=True):
            tracer.step(stage, fields, model_dtype if stage is self._last_pass else FLOAT32, live)
        if state.dtype != model_dtype:
            tracer.cast(state, model_dtype)
        grid, channels, size, last = state.shape, state.channels, state.nbytes, state.channel_axis == "last"
        kept_inputs = self._post_chain.kept_inputs
        kept = tracer.drop_others(kept_inputs) - (size if self.input_field in kept_inputs else 0)
        fields[self.result_field] = self._inference.result(state, classes)
        model_field = fields[self.result_field].copy()
        tracer.result(fields[self.result_field])
        for stage, live in zip(self.post_stages, self._post_chain.live, strict=True):
            tracer.step(stage, fields, FLOAT32, live)
        for output in self.outputs:
            tracer.deliver(fields[output], restored=is_restored(self.post, output))
        return Trace(tuple(tracer.stages), grid, channels, size, last, kept, model_field)

    def orientation(self, geometry: Geometry) -> Orientation:
        """Orientation in which transforms see a volume of this stored geometry."""
        return self._load.orientation(geometry)

    def strip_chain(
        self, geometry: Geometry, stored_dtype: DTypeLike, slope: float = 1.0, inter: float = 0.0
    ) -> StripChain | str:
        """The chain for one box of a volume with one channel at a time; or, in words, what needs the whole volume."""
        if self.outputs != (self.result_field,) or self._post_chain.kept_inputs:
            return "an output that is not the result of the inference alone needs the whole volume"
        if self.finalizer == "scores":
            return "post-transforms on scores need the whole volume"
        source = Source(geometry, self.orientation(geometry), slope=slope, inter=inter)
        fields = {self.input_field: self._loaded(1, np.dtype(stored_dtype), source)}
        return make_strip_chain(self.pre_stages, self.post_stages, fields, self.result_field)

    # -- doing it -------------------------------------------------------------------------------------------
    def prepare(
        self, volume: Volume, backend: Backend, dtype: DTypeLike = np.float32, upload: Upload | None = None
    ) -> Fields:
        """Run the pre-transforms: the fields by name, `fields[input_field].array` [C, X, Y, Z] of `dtype`.

        The voxels are uploaded once, as stored, and strides give them loaded axes; `upload` has followed their reader,
        if there is one. Slope and intercept are the first function of the first pass.
        """
        model_dtype = np.dtype(dtype)
        orientation = self._load.orientation(volume.geometry)
        source = Source(volume.geometry, orientation, volume.path, volume.slope, volume.inter)
        state = self._loaded(volume.channels, volume.dtype, source)
        state.array = orientation.view((upload or backend.open_upload()).finish(volume.data))
        fields: Fields = {self.input_field: state}
        for stage, live in zip(self.pre_stages, self._pre_live, strict=True):
            stage.run(fields, model_dtype if stage is self._last_pass else FLOAT32, backend)
            drop_others(fields, live)
        if state.dtype != model_dtype:
            out = backend.empty((state.channels, *state.shape), model_dtype)
            backend.resample(state.array, out, None, ClampedAffine(), ClampedAffine())
            state.array, state.dtype = out, model_dtype
        return fields

    def accept(self, result: Array, fields: Fields) -> None:
        """Put the inferer's result into `fields`, and drop the arrays that no post-transform reads.

        If the caller holds no other reference to `result`, its memory is freed after its last use, as `trace` assumes.

        Args:
            result: On the model's grid; labels [X, Y, Z] if `finalizer` is "argmax", masks uint8 [K, X, Y, Z] if it is
                "masks", else float32 scores [K, X, Y, Z].
            fields: What `prepare` returned.

        Raises:
            ModelError: The grid of `result` is not that of the model's input.
            ConfigError: The chain does not accept its number of channels.
            ValueError: It holds scores instead of masks.
        """
        origin = fields[self.input_field]
        array = result[None] if self.finalizer == "argmax" else result
        if tuple(array.shape[1:]) != origin.shape:
            raise ModelError(f"the model's result has the grid {tuple(array.shape[1:])}, expected {origin.shape}")
        if self.finalizer == "masks" and array.dtype != np.uint8:
            raise ValueError(f"the inferer delivers uint8 masks, found {array.dtype}")
        if self.finalizer != "argmax":
            self.check_classes(int(array.shape[0]))
        drop_others(fields, self._post_chain.kept_inputs)
        state = self._inference.result(origin, int(array.shape[0]))
        state.dtype, state.array = np.dtype(array.dtype), array
        fields[self.result_field] = state

    def deliver(self, fields: Fields, backend: Backend) -> dict[str, Array]:
        """Run the post-transforms on accepted fields, in place.

        Facts that transforms report are then in `fields[input_field].facts`.

        Returns:
            Labels [I, J, K] in the file's index order, i fastest in memory, by output field.

        Raises:
            ConfigError: An output has several channels.
        """
        for stage, live in zip(self.post_stages, self._post_chain.live, strict=True):
            stage.run(fields, FLOAT32, backend)
            drop_others(fields, live)
        labels = {}
        for name in self.outputs:
            labels[name] = labels_of_file(fields[name], backend)
            fields[name].array = None
        return labels

    # -- parts ----------------------------------------------------------------------------------------------
    def _loaded(self, channels: int, dtype: DType, source: Source) -> FieldState:
        """State of the input field before the first pre-transform."""
        loaded = source.loaded
        return FieldState(
            self.input_field,
            channels,
            loaded.shape,
            dtype,
            loaded.spacing,
            source,
            channel_axis="last" if channels > 1 else "none",
            properties=source.properties(),
        )
