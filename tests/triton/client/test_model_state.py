"""A client waits for a model that the server is loading; for any other model the error comes at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from triton_fakes import FakeClient, FakeServer

from gpu_infer.errors import ModelError
from gpu_infer.triton.client import model_state
from gpu_infer.triton.client.model_state import await_model
from gpu_infer.triton.model.info import ModelEntry

OTHERS = [ModelEntry("broken", "1", "UNAVAILABLE", "Internal: failed to load"), ModelEntry("big", "1", "LOADING", "")]


@dataclass
class StatefulServer(FakeServer):
    """Shows `entries`, one list after the other; the model is ready when they are used up."""

    entries: list[list[ModelEntry]] = field(default_factory=list)


class StatefulClient(FakeClient):
    server: StatefulServer

    def model_ready(self, model: str, version: str = "", timeout: float = 1.0) -> bool:
        return not self.server.entries

    def model_index(self, timeout: float = 1.0) -> list[ModelEntry]:
        return [*OTHERS, *self.server.entries.pop(0)]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_state, "POLL_S", 0.001)


def wait_for(*entries: list[ModelEntry], version: str = "", wait_s: float = 5.0) -> None:
    await_model(cast(Any, StatefulClient(StatefulServer(entries=list(entries)))), "mine", version, wait_s)


def test_another_model_that_loads_or_failed_does_not_matter() -> None:
    wait_for()


def test_a_model_that_loads_is_waited_for() -> None:
    wait_for([ModelEntry("mine", "1", "LOADING", "")], [ModelEntry("mine", "1", "LOADING", "")])
    with pytest.raises(ModelError, match=r"model mine at fake:1 is not ready after 0 s: LOADING"):
        wait_for([ModelEntry("mine", "1", "LOADING", "")], wait_s=0)


@pytest.mark.parametrize("entry", [ModelEntry("mine", "", "", ""), ModelEntry("mine", "1", "UNAVAILABLE", "unloaded")])
def test_a_model_that_nobody_loaded_is_named_as_such(entry: ModelEntry) -> None:
    with pytest.raises(
        ModelError, match="is in the repository of the server at fake:1, but it is not loaded"
    ) as caught:
        wait_for([entry])
    assert "--load" in (caught.value.remedy or "")


def test_a_model_that_failed_gives_its_reason() -> None:
    failed = ModelEntry("mine", "1", "UNAVAILABLE", "Internal: no such file\n  at line 3")
    with pytest.raises(ModelError, match="failed to load: UNAVAILABLE Internal: no such file at line 3"):
        wait_for([failed])


def test_a_missing_model_or_version() -> None:
    with pytest.raises(ModelError, match="model mine is not on the server at fake:1, which has: big 1, broken 1"):
        wait_for([])
    with pytest.raises(ModelError, match="model mine version 7 is not on the server"):
        wait_for([ModelEntry("mine", "1", "READY", "")], version="7")
    many = [ModelEntry(f"m{number:03}", "1", "READY", "") for number in range(100)]
    with pytest.raises(ModelError, match="m017 1 and 82 more"):
        wait_for(many)
