"""The slots of a job, and the job as it is true with them."""

from __future__ import annotations

from gpu_infer.backends.base.backend import Backend
from gpu_infer.planning.run_plan import Job, replanned
from gpu_infer.triton.ring import SlotRing
from gpu_infer.triton.transport import Transport


def open_slots(
    job: Job, transport: Transport, backend: Backend, deadline_s: float, reconnect_s: float
) -> tuple[SlotRing, Job]:
    """The ring, to be closed by the caller, and `job`: another object where the way of the voxels changed only now.

    That happens where memory that was free for the plan is taken by somebody else meanwhile; the plan is made again
    then, and may mean fewer slots or smaller batches.

    deadline_s   seconds for one request
    reconnect_s  seconds to wait for a server that went away

    Raises what `SlotRing` and `replanned` raise.
    """
    ring = _ring(job, transport, deadline_s, reconnect_s)
    try:
        again = replanned(job, transport, backend)
        if again is job:
            return ring, job
    except BaseException:
        ring.close()
        raise
    ring.close()
    return _ring(again, transport, deadline_s, reconnect_s), again


def _ring(job: Job, transport: Transport, deadline_s: float, reconnect_s: float) -> SlotRing:
    return SlotRing(
        transport,
        job.model,
        window=job.fit.window,
        channels_in=job.fit.channels_in,
        channels_out=job.fit.channels_out,
        batch=job.load.batch,
        slots=job.load.slots,
        deadline_s=deadline_s,
        reconnect_s=reconnect_s,
        spare=job.load.spare,
        channels_last=job.channels_last,
    )
