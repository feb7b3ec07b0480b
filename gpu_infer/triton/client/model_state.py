"""Wait for a model that the server is loading; report at once why any other model is not ready."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gpu_infer.errors import ModelNotReady
from gpu_infer.triton.client.failures import one_line
from gpu_infer.triton.client.protocol import TritonClient
from gpu_infer.triton.model.info import ModelEntry

POLL_S = 0.5
_LISTED = 20  # names of a large repository in one message


def await_model(client: TritonClient, name: str, version: str, wait_s: float) -> None:
    """Return when the model is ready; other models of the server have no influence.

    Raises ModelNotReady if the server does not have the model, never loaded it, unloaded it or failed to load it, and
    if the model is not ready after `wait_s`.
    """
    described = f"model {name}" + (f" version {version}" if version else "")
    started = time.monotonic()
    while not client.model_ready(name, version):
        entries = client.model_index()
        own = [entry for entry in entries if entry.name == name]
        if version:
            own = [entry for entry in own if entry.version in ("", version)]
        if not own:
            raise ModelNotReady(
                f"{described} is not on the server at {client.url}, which has: {_format_names(entries)}",
                remedy="correct inferer.args.model_name (--model), or add the model to the server's repository",
            )
        state = one_line("; ".join(f"{e.state or 'unknown state'} {e.reason}".strip() for e in own))
        if all(_is_unloaded(entry) for entry in own):
            raise ModelNotReady(
                f"{described} is in the repository of the server at {client.url}, but it is not loaded: {state}",
                remedy="load it with --load, or start the server with --load-model or without explicit model control",
            )
        if all(_has_failed(entry) for entry in own):
            raise ModelNotReady(
                f"{described} at {client.url} failed to load: {state}",
                remedy="see the server's log for why it does not load",
            )
        if time.monotonic() - started >= wait_s:
            raise ModelNotReady(
                f"{described} at {client.url} is not ready after {wait_s:g} s: {state}",
                remedy="see the server's log for why it does not load",
            )
        time.sleep(POLL_S)


def _is_unloaded(entry: ModelEntry) -> bool:
    """Whether the model was never loaded, as in explicit model control, or was unloaded."""
    return not entry.state or (entry.state == "UNAVAILABLE" and entry.reason in ("", "unloaded"))


def _has_failed(entry: ModelEntry) -> bool:
    return entry.state == "UNAVAILABLE" and not _is_unloaded(entry)


def _format_names(entries: Sequence[ModelEntry]) -> str:
    names = sorted({f"{entry.name} {entry.version}".strip() for entry in entries})
    return (", ".join(names[:_LISTED]) or "none") + (
        f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    )
