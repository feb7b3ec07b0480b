"""One slot of the ring: its areas, its request, its state."""

from __future__ import annotations

import enum
from collections.abc import Callable
from concurrent.futures import Future

from gpu_infer.errors import ConfigError, ResourceError
from gpu_infer.triton.client.protocol import InferReply
from gpu_infer.triton.direct_sender import DirectReply
from gpu_infer.triton.shm.arena import ArenaArray
from gpu_infer.triton.slot_memory import SlotMemory

NEVER_SENT = (ConfigError, ResourceError)
"""Errors in place of a reply if there was no connection to send the request over."""


class SlotState(enum.Enum):
    """FREE → FILLING → IN_FLIGHT → READY → FREE."""

    FREE = "free"
    FILLING = "filling"
    IN_FLIGHT = "in flight"
    READY = "ready"


class Slot:
    """An input and an output area of one of the ring's arenas.

    input   [B, C, R0, R1, R2] in the model's input dtype; the caller writes it between `acquire` and `submit`
    output  [B, K, R0, R1, R2] in the model's output dtype; the caller reads it between `wait` and `release`
    refill  writes the input again if the request must be sent again from other memory; set before `submit`. Without it
            the input is copied, which is right for models that do not write to their input
    lost    a request that named these areas has no answer: the server may still write to them
    """

    def __init__(self, number: int, input_at: int, output_at: int) -> None:
        self.number = number
        self.input: ArenaArray = None
        self.output: ArenaArray = None
        self.input_at = input_at  # bytes from the start of the arena
        self.output_at = output_at
        self.memory: SlotMemory | None = None
        self.lost = False
        self.n = 0
        self.state = SlotState.FREE
        self.future: Future[InferReply] | DirectReply | None = None
        self.refill: Callable[[Slot], None] | None = None

    def mark_lost(self) -> None:
        """Note that the server may write to the areas at any time, and so to their region."""
        self.lost = True
        if self.memory is not None and self.memory.registration is not None:
            self.memory.registration.lost = True

    @property
    def is_answered(self) -> bool:
        """Whether the server no longer works on the slot's request, or never got it."""
        if self.future is None or not self.future.done():
            return False
        error = self.future.exception()
        return error is None or isinstance(error, NEVER_SENT)

    def check(self, expected: SlotState) -> None:
        """RuntimeError if the slot is not in the expected state."""
        if self.state is not expected:
            raise RuntimeError(f"slot {self.number} is {self.state.value}, expected {expected.value}")

    def move(self, expected: SlotState, to: SlotState) -> None:
        """Change the state; RuntimeError if the slot is not in the expected one."""
        self.check(expected)
        self.state = to

    def __repr__(self) -> str:
        return f"Slot({self.number}, {self.state.value})"
