"""Fixtures that more than one file of this folder needs."""

from __future__ import annotations

import pytest


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the environment names a folder, a server or a configuration."""
    for name in ("INPUT", "OUTPUT", "PUBLISHING", "LOGS", "TRTISURI", "CONFIG_INFERENCE"):
        monkeypatch.delenv(f"NVIDIA_CLARA_{name}", raising=False)
