"""The transport of a run: its server, its protocol and its data transport, chosen once; why better ones are skipped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeVar, cast

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.base.device import DeviceArena, DeviceIdentity
from gpu_infer.errors import ConfigError, DeadlineError, DeviceError, GpuInferError, ResourceError, ServerError
from gpu_infer.triton.client.endpoints import ControlName, Endpoints
from gpu_infer.triton.client.failures import ConnectionLost, SharedMemoryOff, one_line, says_shared_memory_is_off
from gpu_infer.triton.client.protocol import TritonClient
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.shm.arena import Arena
from gpu_infer.triton.shm.arena_ahead import ArenaAhead
from gpu_infer.triton.shm.host_arenas import HostArena, SystemArena, check_space
from gpu_infer.triton.shm.registration import Registration

T = TypeVar("T")

log = logging.getLogger(__name__)

DataName = Literal["cuda_shm", "system_shm", "inline"]
DATA_TRANSPORTS: tuple[DataName, ...] = ("cuda_shm", "system_shm", "inline")
PROBE_BYTES = 4096

CHECK = {
    "cuda_shm": "client and server need the same GPU under the same number (CUDA_VISIBLE_DEVICES alike in both), and "
    "distinct PIDs (containers: --pid=host); CUDA IPC does not work on WSL, on Jetson or across MIG slices",
    "system_shm": "client and server need the same /dev/shm (containers: --ipc=host) and the same user, or "
    "a server that runs as root",
    "inline": "inline data needs nothing but the connection",
}

_ANY_DATA = "omit --data and --require to use a data transport that works here"


class Transport:
    """The server, the protocol ("grpc" or "http") and the data transport of requests.

    data     "cuda_shm", "system_shm" or "inline"; may fall back when an arena is made, unless it is fixed
    skipped  (data transport, reason) of every better one that was tried and does not work here
    """

    def __init__(
        self,
        server: Server,
        backend: Backend,
        choices: tuple[DataName, ...],
    ) -> None:
        self.server = server
        self.backend = backend
        self.skipped: list[tuple[str, str]] = []
        self._choices = list(choices)
        self._fixed = len(choices) == 1
        self._ahead: ArenaAhead | None = None

    @property
    def control(self) -> ControlName:
        return self.server.control

    @property
    def data(self) -> DataName:
        return self._choices[0]

    def chosen(self) -> dict[str, object]:
        """For the report: the data transport, those skipped, and the card of the backend, if there is one."""
        skipped = [{"choice": choice, "reason": reason} for choice, reason in self.skipped]
        card = self.card()
        return {"data": self.data, "skipped": skipped, **({"gpu": card.summary()} if card is not None else {})}

    def probe(self) -> None:
        """Register a small arena, check that the server lists it, and unregister it; fall back until that works.

        The server opens the arena when it registers it. This fails on another host, with another /dev/shm, and on
        another GPU unless that has peer access. No voxel is sent: if a server can open an arena but not use it, the
        first request fails and ends the run.
        """
        self._choose_server()
        self._first_that_works(lambda: self._check_registration(PROBE_BYTES))

    def make_room(self, nbytes: int) -> None:
        """Fall back now if /dev/shm has no space for an arena of `nbytes`; raises the same errors as `arena`.

        The memory plan depends on it: with inline data, requests contain copies of the voxels.
        """
        self._first_that_works(lambda: check_space(nbytes) if self.data == "system_shm" else None)

    def arena(self, nbytes: int) -> tuple[Arena, Registration | None]:
        """An arena for slots and its registration (None for inline data); `release` ends both.

        Raises ResourceError or ServerError if the data transport is fixed; otherwise falls back, and adds to `skipped`.
        """
        return self._first_that_works(lambda: self._make_arena(nbytes))

    def reserve_ahead(self, nbytes: int) -> AbstractContextManager[object]:
        """Begin to make the next arena of `nbytes` in a thread, if it is a POSIX segment.

        The end of the context removes it if `arena` has not returned it.
        """
        if self.data != "system_shm":
            return nullcontext()
        self._ahead = ArenaAhead(nbytes)
        return self._ahead

    @property
    def bytes_ahead(self) -> int:
        """Bytes of the arena that `reserve_ahead` has made for the next `arena`; waits for its thread."""
        return 0 if self._ahead is None else self._ahead.nbytes

    def fresh_arena(self, nbytes: int) -> tuple[Arena, Registration | None]:
        """Another arena for the data transport in use; never falls back, since the memory plan is for this one.

        Raises ResourceError, ServerError or DeadlineError if it cannot be made or registered.
        """
        return self._make_arena(nbytes)

    def client(self) -> TritonClient:
        """A new client for the calling thread."""
        return self.server.client()

    def _first_that_works(self, attempt: Callable[[], T]) -> T:
        while True:
            try:
                return attempt()
            except (ServerError, ResourceError) as error:
                if isinstance(error, ConnectionLost):
                    raise  # no fault of this data transport
                if self._fixed or self.data == "inline":
                    raise _fixed_data_error(self.data, error) from error
                self.skipped.append((self.data, one_line(error)))
                # On a machine without a GPU, the first fallback is expected.
                expected = self.data == "cuda_shm" and not self.backend.has_device_memory
                del self._choices[0]
                self._choose_server()
                log.log(
                    logging.INFO if expected else logging.WARNING,
                    "data %s not used, taking %s: %s",
                    *(self.skipped[-1][0], self.data, self.skipped[-1][1]),
                )

    def _choose_server(self) -> None:
        """Take the protocol for inline data, if that is the data transport."""
        if self.data == "inline":
            self.server = self.server.for_inline()

    def card(self) -> DeviceIdentity | None:
        """The card that the backend's memory is on; None if the backend has none, or the card does not answer."""
        try:
            identity: DeviceIdentity | None = self.backend.identity()
        except ResourceError as error:
            log.debug("the GPU's identity is not available: %s", error)
            return None
        return identity

    def _check(self) -> str:
        """What to check about the data transport; for CUDA memory, with this process's card."""
        card = self.card() if self.data == "cuda_shm" else None
        return CHECK[self.data] + (f"; the client's is {card}" if card is not None else "")

    def _make_arena(self, nbytes: int) -> tuple[Arena, Registration | None]:
        if self.data == "inline":
            return HostArena(nbytes), None
        arena: SystemArena | DeviceArena
        if self.data == "system_shm":
            ahead = self._ahead.take(nbytes) if self._ahead is not None else None
            arena = SystemArena(nbytes) if ahead is None else ahead
        else:
            if not self.backend.has_device_memory:
                raise ServerError(
                    f"the {self.backend.name} backend has no device memory",
                    remedy=f"use --device gpu, or {_ANY_DATA}" if self._fixed else None,
                )
            try:
                device_arena: DeviceArena | None = self.backend.device_arena(nbytes)
            except DeviceError as error:
                raise DeviceError(error.message, remedy=error.remedy or self._check()) from error
            assert device_arena is not None
            arena = device_arena
        try:
            return arena, Registration(self.server, arena)
        except (ConnectionLost, DeadlineError):
            arena.close()
            raise
        except ServerError as error:
            arena.close()
            raise _refused_region(error, self._check()) from error
        except BaseException:
            arena.close()
            raise

    def _check_registration(self, nbytes: int) -> None:
        """Raise ServerError unless the server lists an arena after it has registered it."""
        arena, registration = self._make_arena(nbytes)
        try:
            if registration is None:
                return
            # The name is random: a server that could open it maps this memory, not memory of that name on another host.
            client = self.client()
            try:
                listed = client.registered_regions()
            finally:
                client.close()
            if registration.name not in listed:
                raise ServerError(f"the server accepted region {registration.name} but does not list it")
        finally:
            release(arena, registration)


def release(arena: Arena, registration: Registration | None, drain_s: float = 30.0, call_s: float = 10.0) -> None:
    """Unregister, then free the arena: in this order, so that every registered region has an owner.

    drain_s  seconds to wait for requests that use the region; call_s: seconds that one call to the server may take
    """
    try:
        if registration is not None:
            registration.close(drain_s, call_s)
    finally:
        arena.close()


def data_choices(data: str = "auto", require: str | None = None) -> tuple[DataName, ...]:
    """The data transports that may be used, the best first.

    data     "auto" allows cuda_shm, system_shm and inline in that order; any other name allows this one alone
    require  like a name in `data`, for callers that must not fall back
    Raises ConfigError for unknown or contradictory names.
    """
    for option, value, allowed in (
        ("data", data, ("auto", *DATA_TRANSPORTS)),
        ("require", require, (None, *DATA_TRANSPORTS)),
    ):
        if value not in allowed:
            raise ConfigError(f"{option} {value!r} is unknown", remedy=f"use one of {', '.join(DATA_TRANSPORTS)}")
    if require is not None and data not in ("auto", require):
        raise ConfigError(f"--require {require} contradicts --data {data}", remedy="give one of them, or both the same")
    named = require if require is not None else data
    return DATA_TRANSPORTS if named == "auto" else (cast(DataName, named),)


def choose_transport(server: Server, backend: Backend, choices: tuple[DataName, ...]) -> Transport:
    """The first of `choices` that works between this process and `server`.

    Raises ServerError or ResourceError if the only choice does not work here.
    """
    transport = Transport(server, backend, choices)
    transport.probe()
    log.info("control %s, data %s", transport.control, transport.data)
    return transport


def open_transport(
    endpoints: Endpoints,
    backend: Backend,
    *,
    control: str = "auto",
    data: str = "auto",
    require: str | None = None,
    wait_s: float = 600.0,
    interval_s: float = 0.5,
) -> Transport:
    """Wait for the server (`Server.connect`), then choose a transport of `data_choices(data, require)`.

    Raises the errors of `data_choices`, `Server.connect` and `choose_transport`.
    """
    choices = data_choices(data, require)
    server = Server.connect(endpoints, control, wait_s=wait_s, interval_s=interval_s)
    return choose_transport(server, backend, choices)


def _refused_region(error: ServerError, check: str) -> ServerError:
    """The error of a server that refuses a region, with `check` as its remedy."""
    if says_shared_memory_is_off(error.message):
        return SharedMemoryOff(error.message)
    return ServerError(error.message, remedy=check)


def _fixed_data_error(choice: str, error: GpuInferError) -> GpuInferError:
    """The error of the only data transport that may be used, with a remedy."""
    if isinstance(error, ResourceError):
        if choice == "inline":
            return error
        return ResourceError(error.message, remedy=f"{error.remedy}, or {_ANY_DATA}")
    return type(error)(f"data {choice} cannot be used: {error.message}", remedy=error.remedy or CHECK[choice])
