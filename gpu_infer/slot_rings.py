"""The slot ring of a run, opened for its plan; a session keeps it from run to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gpu_infer.backends.base.backend import Backend
from gpu_infer.planning.run_plan import RunPlan, replan_for_transport
from gpu_infer.triton.client.reconnect import try_again
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import Transport

RingKey = tuple[object, ...]


class SlotRings:
    """The ring of one run after another; at most one is open.

    For one thread at a time.

    Args:
        keep: Leave a ring open after its run, for the next one of the same model, window, batch and slots.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.keep = keep
        self._ring: SlotRing | None = None
        self._key: RingKey = ()
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the slots that are open between two runs."""
        return self._nbytes if self._ring is not None else 0

    def serves(self, plan: RunPlan) -> bool:
        """Whether the open ring is what `plan` needs."""
        return self._ring is not None and self._key == _key(plan)

    @contextmanager
    def ring(self, plan: RunPlan, transport: Transport, backend: Backend) -> Iterator[tuple[SlotRing, RunPlan]]:
        """The ring for `plan`, and `plan` itself or the one that `open_ring` made of it.

        After an error, the ring is closed as that of a failed run: a server may still write to its memory.

        Raises what `open_ring` raises.
        """
        if self.serves(plan) and self._ring is not None:
            ring = self._ring
            ring.begin_run()
        else:
            self.close()
            ring, plan = _open_again(plan, transport, backend)
            self._ring, self._key, self._nbytes = ring, _key(plan), plan.memory.arena_bytes
        try:
            yield ring, plan
        except BaseException:
            self._ring = None
            ring.close(failed=True)
            raise
        if not self.keep:
            self.close()

    def close(self, *, failed: bool = False) -> None:
        """Close the ring that is open, if there is one, as `SlotRing.close` does."""
        ring, self._ring = self._ring, None
        if ring is not None:
            ring.close(failed=failed)


def open_ring(plan: RunPlan, transport: Transport, backend: Backend) -> tuple[SlotRing, RunPlan]:
    """Open the slot ring, and re-plan if the transport had to fall back since the plan was made.

    The transport falls back if another program has taken memory that was free for the plan. The new plan may have
    fewer slots or smaller batches. Returns the ring, which the caller closes, and `plan` itself or the new plan.

    Raises what `SlotRing` and `replan_for_transport` raise.
    """
    ring = _ring(plan, transport)
    try:
        new_plan = replan_for_transport(plan, transport, backend)
        if new_plan is plan:
            return ring, plan
    except BaseException:
        ring.close()
        raise
    ring.close()
    return _ring(new_plan, transport), new_plan


def _open_again(plan: RunPlan, transport: Transport, backend: Backend) -> tuple[SlotRing, RunPlan]:
    """`open_ring`, a second time if the connection is lost during the first."""
    return try_again(
        lambda: open_ring(plan, transport, backend),
        server=transport.server,
        models=[(model.name, model.version) for model in _models(plan)],
        wait_s=plan.inputs.settings.ready_wait_s,
    )


def _key(plan: RunPlan) -> RingKey:
    knobs, fit = plan.memory.knobs, plan.fit
    shape = (fit.window, fit.model_channels, fit.channels_out, plan.layout)
    return (*_models(plan), *shape, knobs.batch, knobs.slots, knobs.spare)


def _ring(plan: RunPlan, transport: Transport) -> SlotRing:
    settings, knobs = plan.inputs.settings, plan.memory.knobs
    return SlotRing(
        transport,
        plan.model,
        window=plan.fit.window,
        channels_in=plan.fit.model_channels,
        channels_out=plan.fit.channels_out,
        batch=knobs.batch,
        slots=knobs.slots,
        deadline_s=settings.deadline_s,
        reconnect_s=settings.ready_wait_s,
        spare=knobs.spare,
        layout=plan.layout,
        further=_models(plan)[1:],
    )


def _models(plan: RunPlan) -> tuple[ModelInfo, ...]:
    """The models of the ring: one, or those of an ensemble; a union has a ring per pass."""
    return (plan.model,) if plan.ensemble is None else plan.ensemble.models
