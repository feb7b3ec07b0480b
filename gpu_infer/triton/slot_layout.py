"""The places of a slot's tensors in an arena, and the requests that name them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ModelError
from gpu_infer.triton.client.protocol import InferReply, InferRequest, RegionSlice
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.layout import TensorLayout
from gpu_infer.triton.shm.arena import Arena, ArenaArray
from gpu_infer.triton.slot import Slot
from gpu_infer.triton.slot_memory import SlotMemory

ALIGNMENT = 4096  # bytes; a page, so that no two areas share one


class SlotLayout:
    """Shapes and bytes of the tensors in slots of `batch` windows.

    The model's tensors have the axes of `layout` after the batch axis; the views of a slot are always
    [B, C, R0, R1, R2], with R 1 across slices.
    """

    def __init__(
        self,
        model: ModelInfo,
        window: tuple[int, int, int],
        channels_in: int,
        channels_out: int,
        batch: int,
        layout: TensorLayout,
    ) -> None:
        self._model = model
        self._in_layout, self._out_layout = layout, layout.of_rank(len(model.output.dims))
        # A model with a fixed batch axis gets full requests; rows past n are old windows, whose results are not read.
        self.batch = model.max_batch if model.fixed_batch else batch
        self._in_shape = layout.tensor_shape(channels_in, window)
        self._out_shape = self._out_layout.tensor_shape(channels_out, window)
        self._bytes_in = math.prod(self._in_shape) * model.input.dtype.itemsize
        self._bytes_out = math.prod(self._out_shape) * model.output.dtype.itemsize
        self._requests: dict[tuple[str, int, int, int], InferRequest] = {}

    def bytes_in(self, n: int) -> int:
        """Bytes of `n` input windows."""
        return n * self._bytes_in

    def bytes_out(self, n: int) -> int:
        """Bytes of `n` output windows."""
        return n * self._bytes_out

    def sent(self, n: int) -> int:
        """Windows that a request for `n` of them carries."""
        return self.batch if self._model.fixed_batch else n

    def views(self, slot: Slot, arena: Arena) -> tuple[ArenaArray, ArenaArray]:
        """The slot's input [B, C, R0, R1, R2] and output [B, K, R0, R1, R2] in `arena`."""
        source = arena.view(slot.input_at, (self.batch, *self._in_shape), self._model.input.dtype)
        sink = arena.view(slot.output_at, (self.batch, *self._out_shape), self._model.output.dtype)
        return self._in_layout.view(source), self._out_layout.view(sink)

    def scores(self, reply: InferReply) -> NDArray[np.generic]:
        """[B, K, R0, R1, R2]: the scores that an inline reply carries."""
        assert reply.data is not None
        scores: NDArray[np.generic] = self._out_layout.view(
            reply.data[None] if self._model.batch_axis == "none" else reply.data
        )
        return scores

    def request(self, slot: Slot, memory: SlotMemory) -> InferRequest:
        """The request for the slot's first `n` windows.

        With shared memory, requests for the same places are one object: a client prepares it once.
        """
        sent = self.sent(slot.n)
        if memory.registration is None:
            shape = self._with_batch(self._in_shape, sent)
            return self._request(sent, memory.arena.view(slot.input_at, shape, self._model.input.dtype), None)
        name = memory.registration.name
        key = (name, slot.input_at, slot.output_at, sent)
        if key not in self._requests:
            source = RegionSlice(name, slot.input_at, self.bytes_in(sent))
            self._requests[key] = self._request(sent, source, RegionSlice(name, slot.output_at, self.bytes_out(sent)))
        return self._requests[key]

    def _request(self, sent: int, source: ArenaArray | RegionSlice, sink: RegionSlice | None) -> InferRequest:
        return InferRequest(
            model=self._model.name,
            version=self._model.version,
            input_name=self._model.input.name,
            datatype=self._model.input.datatype,
            shape=self._with_batch(self._in_shape, sent),
            source=source,
            output_name=self._model.output.name,
            sink=sink,
            output_bytes=self.bytes_out(sent),
        )

    def check_reply(self, reply: InferReply, n: int) -> None:
        """Raise ModelError unless shape and type are as planned; a reply without data names them, too."""
        model = self._model
        expected = self._with_batch(self._out_shape, self.sent(n))
        if reply.shape != expected or reply.datatype != model.output.datatype:
            raise ModelError(
                f"model {model.name} answered {model.output.name} as {reply.datatype or 'nothing'} "
                f"{list(reply.shape)}, expected {model.output.datatype} {list(expected)}",
                remedy="the model must keep the input's spatial size and the channels that its configuration declares",
            )

    def _with_batch(self, shape: tuple[int, ...], n: int) -> tuple[int, ...]:
        return shape if self._model.batch_axis == "none" else (n, *shape)


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to whole pages."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
