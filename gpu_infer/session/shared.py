"""What the runs of a session share, opened by the first run that needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from math import prod
from typing import TypeVar

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.pending import PendingBackend, begin_backend
from gpu_infer.config.config import Config
from gpu_infer.connect import connect
from gpu_infer.planning.free_memory import measure_again
from gpu_infer.planning.run_inputs import RunInputs, model_entries
from gpu_infer.planning.run_plan import Earlier, RunPlan, ask_models, plan_run
from gpu_infer.session.case_memory import CaseMemory
from gpu_infer.session.checks import check_options, configure
from gpu_infer.settings import Settings
from gpu_infer.slot_rings import SlotRings
from gpu_infer.transforms.chain.pipeline import Pipeline
from gpu_infer.triton.client.reconnect import try_again
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.transport import DataName, Transport, choose_transport, data_choices

T = TypeVar("T")


class Shared:
    """Configuration, backend, server, transport and slots of a session.

    reading, device, writing
            locks: each of the three serves one run at a time
    memory  of the cases in work
    rings   the slots; use them under `device`

    Args:
        settings: Options of all runs.
        lasting: Slots stay open from run to run, and memory is planned for it.
        host_bytes: What this process may have of the host's memory; None: what is free.
        clients: Sessions that send to the server at the same time, this one included.
    """

    def __init__(self, settings: Settings, *, lasting: bool, host_bytes: int | None = None, clients: int = 1) -> None:
        self.clients = clients
        self.reading, self.device, self.writing = threading.Lock(), threading.Lock(), threading.Lock()
        self.memory = CaseMemory()
        self.rings = SlotRings(keep=lasting)
        self._settings = settings
        self._host_bytes = host_bytes
        self._earlier = Earlier(lasting_slots=lasting)
        self._stack = ExitStack()
        self._closed = self._loads_ahead = False
        self._config: tuple[Config, Pipeline] | None = None
        self._choices: tuple[DataName, ...] = ()
        self._pending: PendingBackend | None = None
        self._server: Server | None = None
        self._transport: Transport | None = None

    def open(self) -> None:
        """Open all that needs no volume, and ask the server for the models."""
        with self.reading:
            config, _ = self.configuration(self._settings)
            server = self.transport().server
            self._earlier.models = self._again(lambda: ask_models(config, self._settings, server))

    def configuration(self, settings: Settings) -> tuple[Config, Pipeline]:
        """Configuration and pipeline of one run: loaded once, checked against the run's options, and copied.

        Planning one run calls hooks of components while another run is on the device.
        """
        if self._closed:
            raise RuntimeError("the session is closed")
        if self._config is None:
            self._config = configure(settings)
            self._choices = data_choices(settings.data, settings.require)
        else:
            check_options(settings, *self._config)
        if self._pending is None:
            self._pending = self._stack.enter_context(begin_backend(settings.device))
        config = self._config[0].for_one_run()
        return config, config.pipeline()

    def server(self) -> Server:
        """The server, connected once."""
        assert self._config is not None
        assert self._pending is not None
        if self._server is None:
            config, _ = self._config
            with ExitStack() as stack:  # stops a local server that cannot be used
                self._server = connect(self._settings, config.inferer, stack, self._pending.raise_failure)
                self._stack.push(stack.pop_all())
        return self._server

    def backend(self) -> Backend:
        """The backend, for which the first call waits."""
        assert self._pending is not None
        return self._pending.result()

    def transport(self) -> Transport:
        """The transport, chosen once."""
        if self._transport is None:
            self._transport = self._again(partial(choose_transport, self.server(), self.backend(), self._choices))
        return self._transport

    def plan(self, inputs: RunInputs) -> RunPlan:
        """Plan a run as if it were alone in the session; see `CaseMemory` for several."""
        earlier, transport = self._earlier, self.transport()
        if earlier.free is None or not self.memory.in_work:
            earlier.free = measure_again(self.backend(), earlier.free, self._host_bytes)
        earlier.open_slots = self.rings.nbytes + transport.bytes_ahead
        return self._again(lambda: plan_run(inputs, transport, self.backend(), earlier))

    def load_ahead(self, inputs: RunInputs, plan: RunPlan, turn: ExitStack) -> AbstractContextManager[object]:
        """Begin to load the kernels of the first run of the session, and to reserve its slots if there is memory.

        The end of the context, which is that of reading, ends the first: a custom transform may start kernels, too, and
        not every threading layer of Numba lets two threads do so. `turn` ends with the run: slots that nobody has taken
        by then are not in the plans of later runs.
        """
        if self._loads_ahead:
            return nullcontext()
        self._loads_ahead = True
        if plan.memory.slots_fit_early and not plan.parts:
            turn.enter_context(self.transport().reserve_ahead(plan.memory.arena_bytes))
        fit = plan.fit
        voxels = min(plan.memory.knobs.batch, plan.grid.distinct_count) * prod(fit.window)
        return self.backend().load_ahead(
            inputs.header.dtype, plan.model.input.dtype, voxels * fit.model_channels, voxels * fit.channels_out
        )

    @property
    def host_limit(self) -> int | None:
        """Bytes that this process may have in all; None: no limit."""
        free = self._earlier.free
        return None if free is None else free.with_resident().host

    def forget_models(self) -> None:
        """Ask the server for the models again at the next run: they may have other versions by now."""
        self._earlier.models = ()

    def close(self, error: BaseException | None = None) -> None:
        """Close the slots, then a local server and the backend's thread. Raises what their ends raise.

        error  that ends the session: slots wait 3 s at most for the server, and a local server ends at once
        """
        self._closed = True
        try:
            self.rings.close(failed=error is not None)
        finally:
            trace = None if error is None else error.__traceback__
            self._stack.__exit__(None if error is None else type(error), error, trace)

    def _again(self, action: Callable[[], T]) -> T:
        """The result of `action`, which is called again after a lost connection."""
        assert self._config is not None
        entries = model_entries(self._config[0], self._settings)
        models = [(entry.model_name, entry.model_version or "") for entry in entries]
        return try_again(action, server=self.server(), models=models, wait_s=self._settings.ready_wait_s)
