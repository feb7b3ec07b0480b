"""One Triton server: its address, the protocol in use, and what it says of a model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..errors import ConfigError, DeadlineError, ModelError, ServerError
from .client import Control
from .endpoints import ControlName, Endpoints
from .failures import ConnectionLost, one_line
from .metadata import model_info
from .model import ModelInfo

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 5.0  # of one readiness call; a server that takes longer is asked again until the wait ends
LEAST_TIMEOUT_S = 0.5  # of such a call at the end of the wait
LOG_EVERY_S = 10.0


def make_client(control: ControlName, url: str) -> Control:
    """A client of one protocol for the calling thread."""
    if control == "grpc":
        from .grpc_client import GrpcClient

        return GrpcClient(url)
    from .http_client import HttpClient

    return HttpClient(url)


class Server:
    """A reachable server. Holds no connection: `client()` makes one for the thread that calls it."""

    def __init__(self, control: ControlName, url: str, version: str) -> None:
        self.control = control
        self.url = url
        self.version = version

    @classmethod
    def connect(
        cls,
        endpoints: Endpoints,
        control: str = "auto",
        *,
        wait_s: float = 600.0,
        interval_s: float = 0.5,
        check: Callable[[], None] = lambda: None,
    ) -> Server:
        """The first endpoint whose server is ready, asked every `interval_s` seconds for at most `wait_s`.

        check  called before each round; what it raises ends the wait
        Raises DeadlineError that names every address tried and what it answered last, ConfigError when no
        address speaks the protocol asked for.
        """
        candidates = endpoints.candidates(control)
        answers: dict[tuple[ControlName, str], str] = {}
        started = time.monotonic()
        next_log = LOG_EVERY_S
        while True:
            check()
            for name, url in candidates:
                answer = _ask(name, url, started + wait_s)
                if isinstance(answer, Server):
                    for (left, address), reason in answers.items():
                        if (left, address) != (name, url):
                            log.info("control %s at %s not used: %s", left, address, reason)
                    log.info("Triton %s is ready at %s (%s)", answer.version, url, name)
                    return answer
                answers[name, url] = answer
            waited = time.monotonic() - started
            if waited >= wait_s:
                break
            if waited >= next_log:
                log.info("waiting for Triton, %.0f of %g s: %s", waited, wait_s, _told(answers))
                next_log += LOG_EVERY_S
            time.sleep(max(0.0, min(interval_s, wait_s - waited)))
        raise DeadlineError(
            f"no Triton server ready within {wait_s:g} s: {_told(answers)}",
            remedy="start the server, or correct the address (NVIDIA_CLARA_TRTISURI, --triton host:port)",
        )

    def client(self) -> Control:
        """A new client for the calling thread, which also closes it."""
        return make_client(self.control, self.url)

    def end_thread(self) -> None:
        """What a thread that used `client()` does last, after closing it."""
        if self.control == "http":
            from .http_client import end_thread

            end_thread()

    def model(
        self,
        name: str,
        version: str = "",
        *,
        input_name: str | None = None,
        output_name: str | None = None,
        batch: int | None = None,
        wait_s: float = 60.0,
    ) -> ModelInfo:
        """The model's one input and one output, as `metadata.model_info` explains.

        Waits up to `wait_s` for a model that is there but not ready. Raises ModelError for a model that is
        missing (listing those that the server has), not ready in time, decoupled, or not of one input and one
        output.
        """
        if not name:
            raise ConfigError("no model name given", remedy="set inferer.args.model_name, or pass --model")
        client = self.client()
        try:
            self._await_model(client, name, version, wait_s)
            metadata = client.model_metadata(name, version)
            config = client.model_config(name, version)
        finally:
            client.close()
        return model_info(metadata, config, version, input_name=input_name, output_name=output_name, batch=batch)

    def _await_model(self, client: Control, name: str, version: str, wait_s: float) -> None:
        asked = f"model {name}" + (f" version {version}" if version else "")
        started = time.monotonic()
        while not client.model_ready(name, version):
            entries = client.model_index()
            mine = [entry for entry in entries if entry.name == name]
            if not mine or (version and all(entry.version not in ("", version) for entry in mine)):
                have = ", ".join(sorted({f"{e.name} {e.version}".strip() for e in entries})) or "none"
                raise ModelError(
                    f"{asked} is not on the server at {self.url}, which has: {have}",
                    remedy="correct inferer.args.model_name (--model), or add the model to the server's repository",
                )
            if time.monotonic() - started >= wait_s:
                state = "; ".join(f"{e.state or 'unknown state'} {e.reason}".strip() for e in mine)
                raise ModelError(
                    f"{asked} at {self.url} is not ready after {wait_s:g} s: {one_line(state)}",
                    remedy="see the server's log for why it does not load",
                )
            time.sleep(0.5)


def wait_until_ready(client: Control, model: str, version: str, wait_s: float) -> None:
    """Wait for a server that went away, and its model, to be back; DeadlineError after `wait_s`."""
    until = time.monotonic() + wait_s
    last = "no answer"
    while True:
        try:
            if client.server_ready(_call_s(until)) and client.model_ready(model, version, _call_s(until)):
                return
            last = f"model {model} is not ready"
        except (ConnectionLost, DeadlineError, ModelError) as error:
            last = error.message
        if time.monotonic() >= until:
            raise DeadlineError(
                f"connection to Triton at {client.url} was lost and it was not back within {wait_s:g} s: {last}",
                remedy="restart the server and run again, or wait longer (--wait); its log may say why it went away",
            )
        time.sleep(0.2)


def _call_s(until: float) -> float:
    """Seconds that a readiness call may take if the wait ends when the monotonic clock shows `until`."""
    return min(PROBE_TIMEOUT_S, max(LEAST_TIMEOUT_S, until - time.monotonic()))


def _ask(name: ControlName, url: str, until: float) -> Server | str:
    """The server behind one address, or what keeps it from being used."""
    client = make_client(name, url)
    try:
        if client.server_ready(_call_s(until)):
            return Server(name, url, client.server_version(_call_s(until)))
        if client.server_live(_call_s(until)):
            return "live but not ready: a model is loading or failed to load"
        return "not live yet"
    except ServerError as error:
        return error.message
    finally:
        client.close()


def _told(answers: dict[tuple[ControlName, str], str]) -> str:
    return "; ".join(
        f"{name} {url}: {one_line(answer.rpartition('connection failed: ')[2])}"
        for (name, url), answer in answers.items()
    )
