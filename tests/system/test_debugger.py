"""A debugger is waited for on the loopback address, for a bounded time, with a warning."""

from __future__ import annotations

import logging
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from gpu_infer.errors import ConfigError
from gpu_infer.settings import Settings
from gpu_infer.system.debugger import wait_for_debugger


class FakeDebugpy:
    """Listens nowhere; `attaches` says whether a client comes."""

    def __init__(self, attaches: bool) -> None:
        self.attaches = attaches
        self.address: tuple[str, int] | None = None
        cancelled = threading.Event()

        def wait() -> None:
            if not attaches:
                assert cancelled.wait(30)

        wait.cancel = cancelled.set  # type: ignore[attr-defined]
        self.module = SimpleNamespace(
            listen=self._listen, wait_for_client=wait, is_client_connected=lambda: self.attaches
        )

    def _listen(self, address: tuple[str, int]) -> None:
        self.address = address


@pytest.mark.parametrize("attaches", [True, False])
def test_the_wait_ends_and_says_what_is_open(
    attaches: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeDebugpy(attaches)
    monkeypatch.setitem(sys.modules, "debugpy", fake.module)
    with caplog.at_level(logging.WARNING):
        assert wait_for_debugger(5678, "127.0.0.1", 0.05) is attaches
    assert fake.address == ("127.0.0.1", 5678)
    assert "on 127.0.0.1:5678; whoever reaches this port runs code as this user" in caplog.text
    assert ("no debugger attached within 0.05 s" in caplog.text) is not attaches


def test_an_address_that_cannot_be_had_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(_: Any) -> None:
        raise OSError("Address already in use")

    monkeypatch.setitem(sys.modules, "debugpy", SimpleNamespace(listen=listen))
    assert not wait_for_debugger(5678, "127.0.0.1", 1)
    assert "cannot listen on 127.0.0.1:5678 (Address already in use)" in caplog.text


def test_the_address_of_the_settings() -> None:
    on = {"DEBUG_VSCODE": "1"}
    assert Settings.from_environment(on, config="c").debug_host == "127.0.0.1"
    given = {**on, "DEBUG_VSCODE_HOST": "0.0.0.0"}
    assert Settings.from_environment(given, config="c").debug_host == "0.0.0.0"


@pytest.mark.parametrize("port", ["²", "9" * 5000, "0", "65536", "-1"])
def test_ports_that_are_none(port: str) -> None:
    with pytest.raises(ConfigError, match="DEBUG_VSCODE_PORT"):
        Settings.from_environment({"DEBUG_VSCODE": "1", "DEBUG_VSCODE_PORT": port}, config="c")


@pytest.mark.parametrize("roi", ["²,1,1", "٣,1,1", "9" * 5000 + ",1,1"])
def test_digits_that_are_none(roi: str) -> None:
    with pytest.raises(ConfigError, match="--roi: found"):
        Settings.from_environment({}, config="c", roi_size=roi)


def test_more_slots_than_threads_make_sense() -> None:
    with pytest.raises(ConfigError, match="--slots: found 257, expected at most 256"):
        Settings.from_environment({}, config="c", slots=257)
