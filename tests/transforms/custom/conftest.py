"""The author of custom components."""

from __future__ import annotations

from pathlib import Path

import pytest
from component_author import Author


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Author:
    return Author(tmp_path, monkeypatch)
