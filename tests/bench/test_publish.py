"""bench.publish: results that a bench finished are copied, all or none; and the README's tables are those results'."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import publish, readme

RESULT: dict[str, Any] = {
    "title": "Cubic",
    "machine": {
        "cpu": "Epyc",
        "cores": 2,
        "memory_gib": 8.0,
        "gpu": None,
        "taken": "2026-11-23T04:11:19+00:00",
        "load_1min": 0.1,
    },
    "table": [{"side": "ours"}],
    "notes": [],
}


def write(folder: Path, name: str, **changes: object) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(RESULT | changes), encoding="utf-8")


def test_named_results_are_copied_with_their_charts(tmp_path: Path) -> None:
    for name in ("cubic", "whole"):
        write(tmp_path / "new", name)
    (tmp_path / "new" / "cubic.png").write_bytes(b"picture")
    assert publish.publish(["cubic"], tmp_path / "new", tmp_path / "old") == ["cubic"]
    assert sorted(path.name for path in (tmp_path / "old").iterdir()) == ["cubic.json", "cubic.png"]
    assert publish.publish(["all"], tmp_path / "new", tmp_path / "old") == ["cubic", "whole"]
    assert json.loads((tmp_path / "old" / "whole.json").read_text(encoding="utf-8")) == RESULT


def test_nothing_is_copied_if_one_is_missing_or_unfinished(tmp_path: Path) -> None:
    write(tmp_path / "new", "cubic")
    write(tmp_path / "new", "volume", unfinished=True)
    (tmp_path / "new" / "files.json").write_text("{", encoding="utf-8")
    (tmp_path / "new" / "batch.json").write_text("[]", encoding="utf-8")
    for name, message in (
        ("whole", "whole.json is missing: run python -m bench.whole first"),
        ("volume", "volume.json is not the result of a finished run"),
        ("files", "files.json is no JSON"),
        ("batch", "batch.json is not the result of a finished run"),
    ):
        with pytest.raises(ValueError, match=message):
            publish.publish(["cubic", name], tmp_path / "new", tmp_path / "old")
    assert not (tmp_path / "old").exists()


def test_all_of_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no results; run a bench first"):
        publish.publish(["all"], tmp_path, tmp_path / "old")


def test_the_command_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.publish", "whole", "--results", str(tmp_path)])
    with pytest.raises(
        SystemExit, match=r"^bench\.publish: .*whole\.json is missing: run python -m bench\.whole first$"
    ):
        publish.main()


def test_the_readme_has_the_committed_results() -> None:
    text = readme.README.read_text(encoding="utf-8")
    for name, content in readme.sections().items():
        assert readme.replaced(text, name, content) == text, "run python -m bench.readme"


def test_a_readme_without_marks_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no lines <!-- transports: written by"):
        readme.replaced("text", "transports", "new")


def test_windows_and_large_have_tables_once_they_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(readme.PUBLISHED, tmp_path / "results")
    monkeypatch.setattr(readme, "PUBLISHED", tmp_path / "results")
    before = readme.sections()["measured"]
    sides = {name: {"median_s": 0.5} for name in ("gpu_infer, NumPy", "gpu_infer, PyTorch", "MONAI")}
    rows = [{"window": 40, **sides}]
    write(tmp_path / "new", "windows", rows=rows, side=80)
    large = [{"volume": "case.nii", "whole run": "9.00 s", "planned": "2 MiB", "peak": "1 MiB"}]
    write(tmp_path / "new", "large", table=large, title="A phantom", notes=["free: memory."])
    publish.publish(["windows", "large"], tmp_path / "new", tmp_path / "results")
    after = readme.sections()["measured"]
    assert before != after
    assert "| 40×40×40 | 500.0 ms … 500.0 ms |" in after
    assert "(`python -m bench.large`): A phantom; Epyc, 2 cores. free: memory." in after
    assert "| case.nii | 9.00 s | 2 MiB | 1 MiB |" in after
