"""`Control` over HTTP.

The library underneath drives its sockets with gevent, whose event loop belongs to one thread: a client is
used and closed by the thread that made it.
"""

from __future__ import annotations

import base64
import http.client
import threading
from collections.abc import Callable
from typing import Any

import gevent  # type: ignore[import-untyped]
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from ..errors import GpuInferError
from .client import (
    CALL_TIMEOUT_S,
    InferReply,
    InferRequest,
    ModelConfig,
    ModelEntry,
    ModelMetadata,
    RegionInfo,
    RegionKind,
    RegionSlice,
    TensorMetadata,
    check_message_size,
    checked_region_name,
)
from .endpoints import ControlName
from .failures import Subject, connection_lost, deadline, refusal
from .lasting_threads import LastingThread

CONNECT_TIMEOUT_S = 10.0
RECEIVE_BYTES = 1 << 20


class HttpClient:
    """One connection; see `client.Control`."""

    name: ControlName = "http"

    def __init__(self, url: str) -> None:
        self.url = url
        self._thread = threading.get_ident()
        self._client: Any = None
        self._lock = threading.Lock()
        self._cut: Any = None  # wakes the event loop of the client's thread, during a call
        # An interrupt (Ctrl-C, or what a signal handler raises) reaches the caller; gevent need not print it too.
        hub = gevent.get_hub()
        hub.NOT_ERROR = tuple({*hub.NOT_ERROR, KeyboardInterrupt, GpuInferError})

    def _connected(self) -> Any:
        if threading.get_ident() != self._thread:
            raise RuntimeError("an HTTP client belongs to the thread that made it")
        if self._client is None:
            # No network timeout: the call's deadline bounds all its reads together, a socket's each one.
            self._client = triton.InferenceServerClient(
                self.url, connection_timeout=CONNECT_TIMEOUT_S, network_timeout=None
            )
            # Outputs are tens of megabytes; reading them by the library's 4 KiB costs a quarter of the time.
            self._client._client_stub.block_size = RECEIVE_BYTES
        return self._client

    def _call(self, what: str, subject: Subject, timeout: float, call: Callable[[Any], Any]) -> Any:
        client = self._connected()
        limit = gevent.Timeout(timeout)
        limit.start()
        cut = gevent.get_hub().loop.async_(ref=False)
        cut.start(gevent.getcurrent().throw, ConnectionAbortedError("the request was cut off"))
        with self._lock:
            self._cut = cut
        try:
            return call(client)
        except gevent.Timeout as reached:
            self._drop()
            if reached is not limit:
                raise
            raise deadline(what, self.url, timeout) from None
        except InferenceServerException as error:
            raise refusal(what, self.url, error.status() or "", error.message(), subject) from None
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise connection_lost(what, self.url, error) from None
        except BaseException:  # an interrupt in the middle of a reply
            self._drop()
            raise
        finally:
            limit.close()
            with self._lock:
                self._cut = None
            cut.stop()
            cut.close()

    def _drop(self) -> None:
        """Leave a connection in an unknown state behind; the next call opens a new one."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def server_live(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        return bool(self._call("liveness", "server", timeout, lambda c: c.is_server_live()))

    def server_ready(self, timeout: float = CALL_TIMEOUT_S) -> bool:
        return bool(self._call("readiness", "server", timeout, lambda c: c.is_server_ready()))

    def server_version(self, timeout: float = CALL_TIMEOUT_S) -> str:
        return str(self._call("metadata", "server", timeout, lambda c: c.get_server_metadata())["version"])

    def model_ready(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> bool:
        return bool(
            self._call(f"readiness of model {model}", "model", timeout, lambda c: c.is_model_ready(model, version))
        )

    def model_metadata(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelMetadata:
        found = self._call(
            f"metadata of model {model}", "model", timeout, lambda c: c.get_model_metadata(model, version)
        )

        def tensors(key: str) -> tuple[TensorMetadata, ...]:
            return tuple(
                TensorMetadata(t["name"], t["datatype"], tuple(map(int, t["shape"]))) for t in found.get(key, [])
            )

        return ModelMetadata(
            found["name"],
            tuple(found.get("versions", [])),
            found.get("platform", ""),
            tensors("inputs"),
            tensors("outputs"),
        )

    def model_config(self, model: str, version: str = "", timeout: float = CALL_TIMEOUT_S) -> ModelConfig:
        config = self._call(
            f"configuration of model {model}", "model", timeout, lambda c: c.get_model_config(model, version)
        )
        return ModelConfig(
            int(config.get("max_batch_size", 0)),
            config.get("backend") or config.get("platform", ""),
            bool(config.get("model_transaction_policy", {}).get("decoupled", False)),
            frozenset(tensor["name"] for tensor in config.get("input", []) if tensor.get("optional")),
        )

    def model_index(self, timeout: float = CALL_TIMEOUT_S) -> list[ModelEntry]:
        found = self._call("repository index", "server", timeout, lambda c: c.get_model_repository_index())
        return [
            ModelEntry(m["name"], str(m.get("version", "")), m.get("state", ""), m.get("reason", "")) for m in found
        ]

    def register_system_region(self, name: str, key: str, nbytes: int, timeout: float = CALL_TIMEOUT_S) -> None:
        self._call(
            f"registering {key}",
            "server",
            timeout,
            lambda c: c.register_system_shared_memory(name, key, nbytes),
        )

    def register_cuda_region(
        self, name: str, ipc_handle: bytes, device: int, nbytes: int, timeout: float = CALL_TIMEOUT_S
    ) -> None:
        handle = base64.b64encode(ipc_handle).decode()
        self._call(
            f"registering CUDA block {name}",
            "server",
            timeout,
            lambda c: c.register_cuda_shared_memory(name, handle, device, nbytes),
        )

    def unregister_region(self, name: str, kind: RegionKind = "system", timeout: float = CALL_TIMEOUT_S) -> None:
        checked_region_name(name)
        method = f"unregister_{kind}_shared_memory"
        self._call(f"unregistering {name}", "server", timeout, lambda c: getattr(c, method)(name))

    def registered_regions(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, RegionInfo]:
        system = self._call("listing shared memory", "server", timeout, lambda c: c.get_system_shared_memory_status())
        cuda = self._call("listing CUDA shared memory", "server", timeout, lambda c: c.get_cuda_shared_memory_status())
        regions = [RegionInfo(r["name"], "system", r["key"], int(r["byte_size"])) for r in system]
        regions += [RegionInfo(r["name"], "cuda", "", int(r["byte_size"])) for r in cuda]
        return {region.name: region for region in regions}

    def infer(self, request: InferRequest, timeout: float) -> InferReply:
        check_message_size(request)
        source = triton.InferInput(request.input_name, list(request.shape), request.datatype)
        if isinstance(request.source, RegionSlice):
            source.set_shared_memory(request.source.name, request.source.nbytes, request.source.offset)
        else:
            source.set_data_from_numpy(np.ascontiguousarray(request.source), binary_data=True)
        sink = triton.InferRequestedOutput(request.output_name, binary_data=True)
        if request.sink is not None:
            sink.set_shared_memory(request.sink.name, request.sink.nbytes, request.sink.offset)
        result = self._call(
            f"inference of model {request.model}",
            "model",
            timeout,
            lambda c: c.infer(request.model, [source], request.version, outputs=[sink]),
        )
        output = result.get_output(request.output_name)
        if output is None:
            return InferReply((), "", None)
        data = result.as_numpy(request.output_name) if request.sink is None else None
        return InferReply(tuple(map(int, output["shape"])), output["datatype"], data)

    def abort(self) -> None:
        with self._lock:
            if self._cut is not None:
                self._cut.send()

    def close(self) -> None:
        if self._client is not None and threading.get_ident() == self._thread:
            self._drop()


def end_thread() -> None:
    """Give back the event loop of a thread that used HTTP clients; the last thing such a thread does.

    A lasting thread has it for the next client: what gevent leaves of a loop is never freed.
    """
    if not isinstance(threading.current_thread(), LastingThread):
        gevent.get_hub().destroy(destroy_loop=True)
