"""One Triton server: its address, the protocol in use, and its models."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from gpu_infer.errors import DeadlineError, ModelError, ServerError
from gpu_infer.triton.client.access import Access
from gpu_infer.triton.client.endpoints import ControlName, Endpoints, tls_protocol
from gpu_infer.triton.client.failures import (
    UNREACHABLE,
    AccessDenied,
    ConnectionLost,
    NotTriton,
    one_line,
    with_option,
)
from gpu_infer.triton.client.model_state import await_model
from gpu_infer.triton.client.protocol import TritonClient
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.triton.model.metadata import model_info
from gpu_infer.triton.model.name import check_model_name

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 5.0  # of one readiness call; it is repeated until the wait ends
FIRST_TIMEOUT_S = 1.5  # of the first one if another address follows: a port that a firewall drops never answers
LEAST_TIMEOUT_S = 0.5  # of a readiness call at the end of the wait
LOG_EVERY_S = 10.0

Answers = dict[tuple[ControlName, str], ServerError]
"""Why each address, over each protocol, cannot be used now."""


def make_client(control: ControlName, url: str, access: Access | None = None) -> TritonClient:
    """A client of one protocol for the calling thread; ConfigError if a certificate cannot be used."""
    if control == "grpc":
        from gpu_infer.triton.client.grpc_client import GrpcClient

        return GrpcClient(url, access)
    from gpu_infer.triton.client.http_client import HttpClient

    return HttpClient(url, access)


class Server:
    """A reachable server. It has no connection: `client()` makes one for the calling thread.

    stops_with_run  this process has started the server and stops it at the end of the run
    inline_url      the server's gRPC address if `control` is "http" and may be "grpc", too; see `for_inline`
    """

    stops_with_run = False
    inline_url: str | None = None

    def __init__(self, control: ControlName, url: str, version: str, access: Access | None = None) -> None:
        self.control = control
        self.url = url
        self.version = version
        self._access = access

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
        """Connect to the first endpoint whose server is live.

        Whether a server is ready depends on all its models; `model` waits for the one that a run needs.

        Args:
            endpoints: the addresses to try.
            control: "auto", "grpc" or "http".
            wait_s: seconds to wait for a live server.
            interval_s: seconds between two rounds of tries.
            check: called before each round; an error that it raises ends the wait.

        Raises:
            DeadlineError: no server was live in time; the message names every address and its last answer.
            ConfigError: no address is of the protocol `control`, or a certificate cannot be used.
            AccessDenied: every server denies access or has a certificate that is not trusted.
            NotTriton: another program answers at every address.
        """
        candidates = endpoints.candidates(control)
        access = endpoints.access
        if access.headers:
            open_urls = [url for _, url in candidates if tls_protocol(url) is None]
            if open_urls:
                log.warning("%s: headers (%s) are sent without encryption", open_urls[0], access.header_names)
        answers: Answers = {}
        rounds = foreign_rounds = 0
        started = time.monotonic()
        next_log = LOG_EVERY_S
        while True:
            check()
            limit_s = PROBE_TIMEOUT_S if rounds else FIRST_TIMEOUT_S
            if (server := _try_all(candidates, access, started + wait_s, answers, limit_s)) is not None:
                if rounds > 0 and (refused := _refused_before(server, candidates, answers)):
                    time.sleep(interval_s)  # a server that starts takes requests over gRPC a moment before HTTP
                    server = _try_all(refused, access, time.monotonic(), answers) or server
                if (server.control, control) == ("http", "auto"):
                    server.inline_url = endpoints.grpc
                for (skipped, address), error in answers.items():
                    if (skipped, address) != (server.control, server.url):
                        log.info("control %s at %s not used: %s", skipped, address, error.message)
                log.info("Triton %s is live at %s (%s)", server.version, server.url, server.control)
                return server
            rounds += 1
            waited = time.monotonic() - started
            foreign = _other_program(answers)
            foreign_rounds = foreign_rounds + 1 if foreign is not None else 0
            # Twice: a server may begin to listen between the calls of the two protocols.
            if foreign is not None and (foreign_rounds > 1 or waited >= wait_s):
                raise foreign
            if waited >= wait_s:
                break
            if waited >= next_log:
                log.info("waiting for Triton, %.0f of %g s: %s", waited, wait_s, _format_answers(answers))
                next_log += LOG_EVERY_S
            time.sleep(max(0.0, min(interval_s, wait_s - waited)))
        raise DeadlineError(
            f"no Triton server ready within {wait_s:g} s: {_format_answers(answers)}",
            remedy="start the server, or correct the address (NVIDIA_CLARA_TRTISURI, --triton host:port)",
        )

    def client(self) -> TritonClient:
        """A new client for the calling thread, which must close it."""
        return make_client(self.control, self.url, self._access)

    def for_inline(self) -> Server:
        """The server for requests with voxels: over gRPC if that address is known, too, and answers; else this one.

        HTTP costs less for requests that only name memory. With voxels there is no such difference, and a server may
        accept 64 MiB at most in a request over HTTP (--http-max-input-size).
        A server of another version is not the one whose models were checked.
        """
        if self.inline_url is None:
            return self
        answer = _try_address("grpc", self.inline_url, self._access, time.monotonic() + PROBE_TIMEOUT_S)
        if not isinstance(answer, Server):
            log.info("control grpc at %s not used for inline data: %s", self.inline_url, answer.message)
            return self
        if answer.version != self.version:
            log.info(
                "control grpc at %s not used for inline data: its server is Triton %s, the one at %s is %s",
                *(answer.url, answer.version, self.url, self.version),
            )
            return self
        answer.stops_with_run = self.stops_with_run
        return answer

    def model(
        self,
        name: str,
        version: str = "",
        *,
        input_name: str | None = None,
        output_name: str | None = None,
        batch: int | None = None,
        slices: bool = False,
        wait_s: float = 60.0,
        load: bool = False,
    ) -> ModelInfo:
        """The model's one input and one output, see `metadata.model_info`.

        Args:
            name: the model.
            version: a number, or "" for the latest.
            input_name: the input to use if there are several.
            output_name: the output to use if there are several.
            batch: windows of one request, for a model whose dims have a dynamic batch axis.
            slices: the configuration says that the model takes slices.
            wait_s: seconds to wait for a model that the server is loading.
            load: make the server load the model unless it is ready.

        Raises:
            ConfigError: no model can have this name or version.
            ModelError: the server does not have the model (the message lists its models), never loaded it, failed to
                load it or does not have it ready in time; or the model is decoupled or has several inputs or outputs.
        """
        check_model_name(name, version)
        client = self.client()
        try:
            if load and not client.model_ready(name, version):
                log.info("loading model %s", name)
                try:
                    client.load_model(name, wait_s)
                except DeadlineError as error:
                    raise with_option(error, "wait longer (--wait)") from error
            await_model(client, name, version, wait_s)
            metadata = client.model_metadata(name, version)
            config = client.model_config(name, version)
        finally:
            client.close()
        return model_info(
            metadata, config, version, input_name=input_name, output_name=output_name, batch=batch, slices=slices
        )


def wait_until_ready(client: TritonClient, model: str, version: str, wait_s: float) -> None:
    """Wait until a server and its model are ready again after a lost connection; DeadlineError after `wait_s`."""
    until = time.monotonic() + wait_s
    last = "no answer"
    while True:
        try:
            if client.server_live(_call_s(until)) and client.model_ready(model, version, _call_s(until)):
                return
            last = f"model {model} is not ready"
        except (ConnectionLost, DeadlineError, ModelError, NotTriton) as error:  # a proxy may answer for a while
            last = error.message
        if time.monotonic() >= until:
            raise DeadlineError(
                f"lost the connection to Triton at {client.url}, which was not ready again within {wait_s:g} s: {last}",
                remedy="restart the server and run again, or wait longer (--wait); its log may say why it went away",
            )
        time.sleep(0.2)


def _call_s(until: float) -> float:
    """Seconds that a readiness call may take if the wait ends when the monotonic clock shows `until`."""
    return min(PROBE_TIMEOUT_S, max(LEAST_TIMEOUT_S, until - time.monotonic()))


def _try_all(
    candidates: Sequence[tuple[ControlName, str]],
    access: Access,
    until: float,
    answers: Answers,
    limit_s: float = PROBE_TIMEOUT_S,
) -> Server | None:
    """The first live server, or None; adds why each address before it cannot be used now to `answers`.

    limit_s  of a call to an address that others follow

    Raises AccessDenied if every address denies access.
    """
    denials: list[AccessDenied] = []
    for name, url in candidates:
        is_last = (name, url) == candidates[-1]
        answer = _try_address(name, url, access, until if is_last else min(until, time.monotonic() + limit_s))
        if isinstance(answer, Server):
            return answer
        if isinstance(answer, AccessDenied):
            denials.append(answer)
        answers[name, url] = answer
    if len(denials) == len(candidates):
        raise denials[0]
    return None


def _refused_before(
    server: Server, candidates: Sequence[tuple[ControlName, str]], answers: Answers
) -> list[tuple[ControlName, str]]:
    """The candidates before a server's own to which there is no connection yet."""
    earlier = candidates[: candidates.index((server.control, server.url))]
    return [pair for pair in earlier if isinstance(answers.get(pair), ConnectionLost)]


def _try_address(name: ControlName, url: str, access: Access | None, until: float) -> Server | ServerError:
    """The server at one address, or the reason why it cannot be used now."""
    client = make_client(name, url, access)
    try:
        if client.server_live(_call_s(until)):
            return Server(name, url, client.server_version(_call_s(until)), access)
        return ServerError("not live yet")
    except ServerError as error:
        return error
    finally:
        client.close()


def _other_program(answers: Answers) -> NotTriton | None:
    """The error of an address if another program answers at every address; None if one of them may be a Triton's.

    One address may be tried over both protocols. Then the answer over HTTP decides, unless gRPC reached a server, or a
    proxy that does not reach it, or had no answer in time.
    """
    last: NotTriton | None = None
    for (name, url), answer in sorted(answers.items(), key=lambda item: item[0]):  # gRPC, then HTTP
        if isinstance(answer, NotTriton):
            last = answer
            continue
        by_http = answers.get(("http", url))
        broken = isinstance(answer, ConnectionLost) and UNREACHABLE not in answer.message
        if name == "http" or not broken or not isinstance(by_http, NotTriton):
            return None
    return last


def _format_answers(answers: Answers) -> str:
    return "; ".join(f"{name} {url}: {one_line(_reason(error.message))}" for (name, url), error in answers.items())


def _reason(answer: str) -> str:
    """The reason in an answer, without the call and the address before it."""
    reason = answer.rpartition("connection failed: ")[2]
    return reason[max(0, reason.find(UNREACHABLE)) :]
