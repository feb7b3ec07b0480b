"""bench.window_time on a small volume, with a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import window_time

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_leftovers")]


def test_every_protocol_has_a_row_alone_and_with_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_time, "SLOTS", (2,))
    window_time.run(40, repeats=1, folder=tmp_path)
    written = json.loads((tmp_path / "window_time.json").read_text(encoding="utf-8"))
    assert written["windows"] == 8
    rows = {(row["busy"], row["in_flight"], row["control"]): row for row in written["rows"]}
    assert set(rows) == {(busy, 2, control) for busy in (0, 2) for control in ("http", "grpc")}
    for row in rows.values():
        assert row["own_s"] == pytest.approx(row["window_s"] - row["server_s"], abs=1e-4)
        assert min(row["server_s"], row["cpu_s"]) > 0
