"""The registration of one arena with a server: made once, renewed after a restart, removed at the end."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Collection
from contextlib import suppress

from gpu_infer.backends.base.device import DeviceArena
from gpu_infer.errors import DeadlineError, GpuInferError, ResourceError, ServerError
from gpu_infer.triton.client.failures import ConnectionLost, RegionBusy, RegionExists, SharedMemoryOff
from gpu_infer.triton.client.listening import nobody_listens
from gpu_infer.triton.client.protocol import RegionKind, TritonClient
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.host_arenas import SystemArena
from gpu_infer.triton.shm.naming import SHM_FOLDER, create_locked, new_name

log = logging.getLogger(__name__)

DRAIN_S = 30.0  # that the end waits for requests that still use the region
EXIT_TIMEOUT_S = 2.0  # of a call, and of a wait for a busy region, while the interpreter ends
EXIT_TOTAL_S = 3.0  # for all regions at the end of the interpreter; doctor --clean removes the rest


# Registrations that a server may still know. An interrupt may drop every other reference to them; this set does not.
_live: set[Registration] = set()


class Registration:
    """A region on the server, registered by the constructor (ServerError if the server refuses). Thread-safe.

    lost      a request that names the region has no answer, so a server behind a proxy may still work on it
    reported  a warning has named the region, which the server may still know
    """

    def __init__(self, server: Server, arena: SystemArena | DeviceArena) -> None:
        self._server = server
        self._arena = arena
        self._lock = threading.Lock()
        self._marker = -1
        self._has_marker_file = False
        self._gone = False
        self.reported = False
        self.lost = False
        self._unanswered = False  # a registering without an answer that was understood: the server may take it up yet
        self.owner = os.getpid()
        self.renewals = 0
        self.closed = False
        self.kind: RegionKind = "system" if isinstance(arena, SystemArena) else "cuda"
        if isinstance(arena, SystemArena):
            self.name = arena.name
        else:
            self.name = self._mark()
        arena.in_use_by_server = True  # while the server may know the region
        _live.add(self)
        client = server.client()
        try:
            self._register(client)
        except BaseException as error:
            # If the call was cut off, not refused, the server may know the region now or in a moment.
            refused = isinstance(error, ServerError | ResourceError)
            cut_off = isinstance(error, ConnectionLost | DeadlineError) or not refused
            self.closed = True
            self._end(not cut_off or self._unregister(0.0, EXIT_TIMEOUT_S))
            raise
        finally:
            client.close()

    def renew(self, client: TritonClient, seen: int) -> None:
        """Register again after a server forgot the region.

        seen  the value of `renewals` when the failed request was sent: if several slots fail together, the first of
              them renews the region for all
        """
        with self._lock:
            if self.renewals == seen and not self.closed:
                self._register(client)
                self.renewals += 1
                log.info("registered %s again: the server had forgotten it", self.name)

    def close(self, drain_s: float = DRAIN_S, timeout: float = 10.0) -> bool:
        """Unregister by name, waiting up to `drain_s` for requests that still use the region.

        False if the server may still know the region: then a later call tries again, the last one when the interpreter
        ends. Never raises a ServerError or ResourceError.
        """
        with self._lock:
            self.closed = True
        if not self._gone:
            # After an interrupt in here, file and lock are still there for the next call.
            self._end(self._unregister(drain_s, timeout))
        return self._gone

    def try_close(self, timeout: float = 10.0) -> bool:
        """Unregister if no request uses the region; whether the server confirms it.

        A refused connection is no confirmation: a proxy in front of the server may have ended. Never raises a
        ServerError or ResourceError.
        """
        try:
            self._drain(time.monotonic(), timeout)
        except (ServerError, ResourceError) as error:
            log.debug("region %s stays: %s", self.name, error.message)
            return False
        with self._lock:
            self.closed = True
        self._end(True)
        return True

    def _end(self, gone: bool) -> None:
        """Release the lock; if the server has forgotten the region (`gone`), remove its file, too."""
        with self._lock:
            if gone:
                self._gone = True
                self._arena.in_use_by_server = False
                if isinstance(self._arena, SystemArena):
                    self._arena.remove_file()
                if self._has_marker_file:
                    (SHM_FOLDER / self.name).unlink(missing_ok=True)
                    self._has_marker_file = False
                _live.discard(self)
            if self._marker >= 0:  # without the lock, `leftovers` finds the file
                os.close(self._marker)
                self._marker = -1
        if gone and self._unanswered and isinstance(self._arena, SystemArena):
            # The server may have taken up the registering between the unregistering and the removal of the file. Now
            # that there is no file, it can do so no more, and nobody else would find the region.
            with suppress(ServerError, ResourceError):
                self._drain(time.monotonic(), EXIT_TIMEOUT_S)

    def _register(self, client: TritonClient) -> None:
        self._unanswered = True
        try:
            if isinstance(self._arena, SystemArena):
                client.register_system_region(self.name, self._arena.key, self._arena.nbytes)
            else:
                client.register_cuda_region(self.name, self._arena.ipc_handle, self._arena.device, self._arena.nbytes)
        except RegionExists:
            pass  # from a call whose answer was lost: names are random, so the region is this one
        self._unanswered = False

    def _unregister(self, drain_s: float, timeout: float) -> bool:
        """Whether the server has forgotten the region, or has ended; logs one warning if the region stays."""
        # A server that stops with the run takes its regions with it, and a later call removes the file.
        level = logging.DEBUG if self.reported or self._server.stops_with_run else logging.WARNING
        until = time.monotonic() + drain_s
        for _ in range(2):  # twice: a connection may break while its server lives
            try:
                self._drain(until, timeout)
                return True
            except RegionBusy:
                log.log(
                    level,
                    "region %s stays on the server at %s, which still works on a request: "
                    "remove it with gpu-infer doctor --clean once that has ended",
                    self.name,
                    self._server.url,
                )
                self.reported = not self._server.stops_with_run
                return False
            except SharedMemoryOff:
                return True  # it never knew the region, or has been restarted
            except ConnectionLost as error:
                failure: GpuInferError = error
            except (ServerError, ResourceError) as error:
                failure = error
                break
        # GPU memory is reused, and a refused connection may be that of a proxy whose server still writes to the memory.
        in_doubt = self.lost and self.kind == "cuda"
        if isinstance(failure, ConnectionLost) and not in_doubt and nobody_listens(self._server.url, timeout):
            # A server that has ended has forgotten the region with everything else.
            level = min(level, logging.INFO)
            log.log(level, "region %s went with its server: %s", self.name, failure.message)
            return True
        log.log(
            level,
            "region %s could not be unregistered, remove it later with gpu-infer doctor --clean: %s",
            self.name,
            failure.message,
        )
        self.reported = not self._server.stops_with_run
        return False

    def _drain(self, until: float, timeout: float) -> None:
        """Unregister when the requests that use the region have ended; RegionBusy if they last longer than `until`."""
        client = self._server.client()
        try:
            while True:
                try:
                    return client.unregister_region(self.name, self.kind, timeout)
                except RegionBusy:
                    if time.monotonic() >= until:
                        raise
                    time.sleep(0.05)
        finally:
            client.close()

    def _mark(self) -> str:
        """Make a locked, empty file, since a CUDA region has none, that shows that the owner lives; return its name."""
        try:
            name, self._marker = create_locked(SHM_FOLDER)
            self._has_marker_file = True
        except OSError as error:
            log.debug("no marker file in %s: %s", SHM_FOLDER, error)
            return new_name()
        return name


def close_unreported() -> None:
    """Unregister the regions whose end was interrupted, and warn of those that stay."""
    _close_all([registration for registration in _live if not registration.reported])


def _close_all(registrations: Collection[Registration] | None = None) -> None:
    until = time.monotonic() + EXIT_TOTAL_S
    for registration in list(_live if registrations is None else registrations):
        remaining_s = min(EXIT_TIMEOUT_S, until - time.monotonic())
        if remaining_s > 0 and registration.owner == os.getpid():  # not in a forked child
            registration.close(drain_s=remaining_s, timeout=remaining_s)


# Registered after the handler of host_arenas.py, so it runs before that one: unregister, then remove the segment.
atexit.register(_close_all)
