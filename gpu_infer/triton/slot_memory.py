"""The arenas of a ring's slots: the one in use, and older ones that the server may still write to.

A request whose connection was lost may still run on the server, and writes its scores when it ends. The ring therefore
does not use the areas that it names again before the server has unregistered their region: slots move to a new arena.
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
LEAST_DRAIN_S = 0.5  # for one region, even if requests have used up the time


@dataclass(frozen=True, eq=False)
class SlotMemory:
    """An arena for every slot, and its registration (None for inline data)."""

    arena: Arena
    registration: Registration | None


class SlotArenas:
    """The current arena, and older ones until the server has unregistered them.

    nbytes  of one arena
    spare   the memory plan includes a second arena; without it, a lost connection ends the run
    """

    def __init__(self, transport: Transport, nbytes: int, *, spare: bool) -> None:
        self._transport = transport
        self._nbytes = nbytes
        self._spare = spare
        self._older: list[SlotMemory] = []
        self._renewals = 0  # of registrations that the server has removed
        self.current = SlotMemory(*transport.arena(nbytes))

    def renew(self, in_use: Collection[SlotMemory], wait_s: float) -> None:
        """Make a new arena the current one.

        in_use  arenas that a slot still sends from or reads: they stay registered
        wait_s  seconds to wait until the server unregisters an older arena, if there is one

        Raises ServerError if the memory plan has no second arena, or if it cannot be made.
        """
        if not self._spare:
            raise ServerError(
                "the connection was lost, and memory was too short to plan spare slots for sending again",
                remedy="run again with more memory, fewer slots or a smaller batch_size",
            )
        until = time.monotonic() + wait_s
        while not self._release_idle(in_use):
            if time.monotonic() >= until:
                raise ServerError(
                    f"connections were lost again while the server at {self._transport.server.url} still works on "
                    "requests that were lost before: no memory is left that it cannot write to",
                    remedy="see in the server's log what keeps the requests, and what cuts connections",
                )
            time.sleep(POLL_S)
        new = self._make_new()
        self._older.append(self.current)
        self.current = new

    def renewals(self) -> int:
        """Registrations after the first one: again after the server's restart, or of a new arena."""
        memories = [*self._older, self.current]
        return self._renewals + len(self._older) + sum(m.registration.renewals for m in memories if m.registration)

    def close(self, until: float, call_s: float) -> None:
        """Release every arena; wait for busy regions until the monotonic clock shows `until`.

        call_s  seconds that one call to the server may take
        """

        def end(memory: SlotMemory) -> None:
            release(memory.arena, memory.registration, max(LEAST_DRAIN_S, until - time.monotonic()), call_s)

        with ExitStack() as stack:  # every arena, even if the release of another fails; the older ones first
            for memory in (self.current, *reversed(self._older)):
                stack.callback(end, memory)
            self._older.clear()

    def _release_idle(self, in_use: Collection[SlotMemory]) -> bool:
        """Release older arenas that neither a slot nor the server uses; whether no older arena remains."""
        for memory in list(self._older):
            if memory in in_use or (memory.registration is not None and not memory.registration.try_close()):
                continue
            self._older.remove(memory)
            self._renewals += 1 + (memory.registration.renewals if memory.registration is not None else 0)
            memory.arena.close()
        return not self._older

    def _make_new(self) -> SlotMemory:
        try:
            return SlotMemory(*self._transport.fresh_arena(self._nbytes))
        except ResourceError as error:
            raise ServerError(
                f"the connection was lost, and there is no memory for sending again: {error.message}",
                remedy=error.remedy,
            ) from error
