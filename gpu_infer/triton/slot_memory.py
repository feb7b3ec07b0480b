"""The arenas that a ring's slots live in: one in use, and those that the server may still write to.

A request whose connection was lost may still run on the server, and writes its scores when it ends. The areas that it
names are therefore not used again before the server has unregistered their region: slots move to a fresh arena.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass

from gpu_infer.errors import ResourceError, ServerError
from gpu_infer.triton.shm.arena import Arena
from gpu_infer.triton.shm.registration import Registration
from gpu_infer.triton.transport import Transport, release

POLL_S = 0.2
LEAST_DRAIN_S = 0.5  # for one region, also if requests have used up the time


@dataclass(frozen=True, eq=False)
class SlotMemory:
    """One arena with a place for every slot; `registration` is None for inline data."""

    arena: Arena
    registration: Registration | None


class SlotArenas:
    """The current arena, and older ones until the server has let go of them.

    nbytes  of one arena
    spare   the memory plan has a second arena in it; without one a lost connection cannot be survived
    """

    def __init__(self, transport: Transport, nbytes: int, *, spare: bool) -> None:
        self._transport = transport
        self._nbytes = nbytes
        self._spare = spare
        self._older: list[SlotMemory] = []
        self._renewals = 0  # of registrations that the server has ended
        self.current = SlotMemory(*transport.arena(nbytes))

    def renew(self, in_use: Collection[SlotMemory], wait_s: float) -> None:
        """Make a fresh arena the current one.

        in_use  memories from which a slot still sends or reads: they stay registered
        wait_s  seconds to wait until the server lets go of an older arena, if two of them exist

        Raises ServerError if the plan has no memory for it, or if none can be taken.
        """
        if not self._spare:
            raise ServerError(
                "the connection was lost, and memory was too short to plan spare slots for sending again",
                remedy="run again with more memory, fewer slots or a smaller batch_size",
            )
        until = time.monotonic() + wait_s
        while not self._give_back_idle(in_use):
            if time.monotonic() >= until:
                raise ServerError(
                    f"connections were lost again while the server at {self._transport.server.url} still works on "
                    "requests that were lost before: no memory is left that it cannot write to",
                    remedy="see in the server's log what keeps the requests, and what cuts connections",
                )
            time.sleep(POLL_S)
        fresh = self._fresh()
        self._older.append(self.current)
        self.current = fresh

    def renewals(self) -> int:
        """Registrations made after the first one, with a server that was restarted or for a fresh arena."""
        held = [*self._older, self.current]
        return self._renewals + len(self._older) + sum(m.registration.renewals for m in held if m.registration)

    def close(self, until: float, call_s: float) -> None:
        """Give back every arena, waiting for busy regions until the monotonic clock shows `until`.

        call_s  seconds that one call to the server may take
        """

        def end(memory: SlotMemory) -> None:
            release(memory.arena, memory.registration, max(LEAST_DRAIN_S, until - time.monotonic()), call_s)

        with ExitStack() as stack:  # each, whatever becomes of the others; the older ones first
            for memory in (self.current, *reversed(self._older)):
                stack.callback(end, memory)
            self._older.clear()

    def _give_back_idle(self, in_use: Collection[SlotMemory]) -> bool:
        """Give back older arenas that nobody uses any more; whether none is left."""
        for memory in list(self._older):
            if memory in in_use or (memory.registration is not None and not memory.registration.try_close()):
                continue
            self._older.remove(memory)
            self._renewals += 1 + (memory.registration.renewals if memory.registration is not None else 0)
            memory.arena.close()
        return not self._older

    def _fresh(self) -> SlotMemory:
        try:
            return SlotMemory(*self._transport.fresh_arena(self._nbytes))
        except ResourceError as error:
            raise ServerError(
                f"the connection was lost, and there is no memory for sending again: {error.message}",
                remedy=error.remedy,
            ) from error
