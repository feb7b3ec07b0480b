"""One arena's registration with the server: made once, renewed after a restart, taken back at the end."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Collection
from typing import Protocol

from gpu_infer.errors import DeadlineError, ServerError
from gpu_infer.triton.client.failures import ConnectionLost, RegionBusy, RegionExists, SharedMemoryOff
from gpu_infer.triton.client.listening import nobody_listens
from gpu_infer.triton.client.protocol import RegionKind, TritonClient
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.arena import Arena
from gpu_infer.triton.shm.host_arenas import SystemArena
from gpu_infer.triton.shm.naming import SHM_FOLDER, create_locked, new_name

log = logging.getLogger(__name__)

DRAIN_S = 30.0  # how long an end waits for requests that still use the region
EXIT_TIMEOUT_S = 2.0  # of a call, and of a wait for a busy region, while the interpreter ends
EXIT_TOTAL_S = 3.0  # after which the end of the interpreter leaves what remains to doctor --clean


class DeviceArena(Arena, Protocol):
    """A dedicated CUDA allocation (never from a pool) that another process may open."""

    ipc_handle: bytes  # cudaIpcMemHandle_t, 64 bytes
    device: int
    in_use_by_server: (
        bool  # set where the server still knows the region and may write to it: the memory is not used again
    )


# What a server may still know. Held until it does not: an interrupt may drop every other reference.
_live: set[Registration] = set()


class Registration:
    """Registers when made (ServerError where the server refuses). Safe to use from several threads.

    lost  a request that names the region has no answer, so that a server behind a proxy may still work on it
    """

    def __init__(self, server: Server, arena: SystemArena | DeviceArena) -> None:
        self._server = server
        self._arena = arena
        self._lock = threading.Lock()
        self._marker = -1
        self._marked = False
        self._gone = False
        self.reported = False
        self.lost = False
        self.owner = os.getpid()
        self.renewals = 0
        self.closed = False
        self.kind: RegionKind = "system" if isinstance(arena, SystemArena) else "cuda"
        if isinstance(arena, SystemArena):
            self.name = arena.name
        else:
            self.name = self._mark()
        arena.in_use_by_server = True  # as long as the server may know the region
        _live.add(self)
        client = server.client()
        try:
            self._register(client)
        except BaseException as error:
            # Cut off rather than refused: the server may know the region by now, or in a moment.
            cut_off = isinstance(error, ConnectionLost | DeadlineError) or not isinstance(error, ServerError)
            self.closed = True
            self._end(not cut_off or self._unregister(0.0, EXIT_TIMEOUT_S))
            raise
        finally:
            client.close()

    def renew(self, client: TritonClient, seen: int) -> None:
        """Register again after a server forgot the region.

        `seen` is what `renewals` was when the failed request was sent: of several slots that fail together,
        the first renews and the others find it done.
        """
        with self._lock:
            if self.renewals == seen and not self.closed:
                self._register(client)
                self.renewals += 1
                log.info("registered %s again: the server had forgotten it", self.name)

    def close(self, drain_s: float = DRAIN_S, timeout: float = 10.0) -> bool:
        """Unregister by name, waiting up to `drain_s` for requests that still use the region.

        False where the server could not be told, and so may still know the region: then another call tries
        again, the last one when the interpreter ends. Never raises a ServerError.
        """
        with self._lock:
            self.closed = True
        if not self._gone:
            # An interrupt in here changes nothing: file and lock stay for the next call.
            self._end(self._unregister(drain_s, timeout))
        return self._gone

    def try_close(self, timeout: float = 10.0) -> bool:
        """Unregister if no request uses the region; whether the server says that it has let go.

        A server that refuses connections has not said so: a proxy in front of it may have ended. Never raises a
        ServerError.
        """
        client = self._server.client()
        try:
            client.unregister_region(self.name, self.kind, timeout)
        except ServerError as error:
            log.debug("region %s stays: %s", self.name, error.message)
            return False
        finally:
            client.close()
        with self._lock:
            self.closed = True
        self._end(True)
        return True

    def _end(self, gone: bool) -> None:
        """Note whether the server has let go, and give back what told of the region if so."""
        with self._lock:
            if gone:
                self._gone = True
                self._arena.in_use_by_server = False
                if isinstance(self._arena, SystemArena):
                    self._arena.remove_kept()
                if self._marked:
                    (SHM_FOLDER / self.name).unlink(missing_ok=True)
                    self._marked = False
                _live.discard(self)
            if self._marker >= 0:  # without the lock, `leftovers` finds the file
                os.close(self._marker)
                self._marker = -1

    def _register(self, client: TritonClient) -> None:
        try:
            if isinstance(self._arena, SystemArena):
                client.register_system_region(self.name, self._arena.key, self._arena.nbytes)
            else:
                client.register_cuda_region(self.name, self._arena.ipc_handle, self._arena.device, self._arena.nbytes)
        except RegionExists:
            pass  # the name is random: it is ours, from a call whose answer was lost

    def _unregister(self, drain_s: float, timeout: float) -> bool:
        """Whether the server has let go of the region, or has ended; that it stays is logged as a warning once."""
        level = logging.DEBUG if self.reported else logging.WARNING
        until = time.monotonic() + drain_s
        for _ in range(2):  # a connection may break while its server lives, and so is made once more
            client = self._server.client()
            try:
                self._drain(client, until, timeout)
                return True
            except RegionBusy:
                log.log(
                    level,
                    "region %s stays on the server at %s, which still works on a request: "
                    "remove it with gpu-infer doctor --clean once that has ended",
                    self.name,
                    self._server.url,
                )
                self.reported = True
                return False
            except SharedMemoryOff:
                return True  # as it never knew the region, or was started anew
            except ConnectionLost as error:
                failure: ServerError = error
            except ServerError as error:
                failure = error
                break
            finally:
                client.close()
        # GPU memory serves the next case, and what refuses connections may be a proxy whose server still writes to it.
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
        self.reported = True
        return False

    def _drain(self, client: TritonClient, until: float, timeout: float) -> None:
        """Unregister, once the requests that use the region have ended; RegionBusy where they outlast `until`."""
        while True:
            try:
                return client.unregister_region(self.name, self.kind, timeout)
            except RegionBusy:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.05)

    def _mark(self) -> str:
        """A locked, empty file that tells that the owner of a CUDA region, which has no file, lives."""
        try:
            name, self._marker = create_locked(SHM_FOLDER)
            self._marked = True
        except OSError as error:
            log.debug("no marker file in %s: %s", SHM_FOLDER, error)
            return new_name()
        return name


def close_unreported() -> None:
    """Take back the regions whose end was interrupted, and warn of those that stay."""
    _close_all([registration for registration in _live if not registration.reported])


def _close_all(registrations: Collection[Registration] | None = None) -> None:
    until = time.monotonic() + EXIT_TOTAL_S
    for registration in list(_live if registrations is None else registrations):
        left = min(EXIT_TIMEOUT_S, until - time.monotonic())
        if left > 0 and registration.owner == os.getpid():  # not in a forked child
            registration.close(drain_s=left, timeout=left)


# Registered after the handler of regions.py and so run before it: unregister, then remove the segment.
atexit.register(_close_all)
