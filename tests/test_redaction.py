"""Values of `{VAR}`: which forms of them are replaced by the variable's name, and which texts stay."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu_infer import logs, redaction
from gpu_infer.config.location import Place
from gpu_infer.config.variables import expand
from gpu_infer.report import Report


@pytest.fixture(autouse=True)
def _own_values(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(redaction, "_templates", {})
    ours, root = logging.getLogger("gpu_infer"), logging.getLogger()
    before = (root.handlers[:], root.level, ours.handlers[:], ours.level)
    yield
    for handler in {*root.handlers, *ours.handlers} - {*before[0], *before[2]}:
        handler.close()
    root.handlers[:], ours.handlers[:] = before[0], before[2]
    root.setLevel(before[1])
    ours.setLevel(before[3])


def fill(text: str, **environ: str) -> None:
    expand(text, environ, Place("c.json"))


def test_the_longest_text_is_replaced_first() -> None:
    fill("model_{TOKEN}_v2", TOKEN="tok-4f9a")
    assert redaction.redact("model model_tok-4f9a_v2 and tok-4f9a") == "model model_{TOKEN}_v2 and {TOKEN}"


def test_short_values_stand_alone_or_are_not_searched_for() -> None:
    fill("{PORT}{N}", PORT="8000", N="64")
    assert redaction.redact("host:8000, 18000 tiles of 64") == "host:{PORT}, 18000 tiles of 64"


def test_words_of_the_format_stay() -> None:
    fill("{PROTOCOL}", PROTOCOL="HTTP")
    assert redaction.redact("control http, HTTP") == "control http, HTTP"


def test_quoted_forms_are_replaced() -> None:
    value = 'a"b\\c\td'
    fill("{V}", V=value)
    assert redaction.redact(f"{json.dumps(value)} {value!r} {value} {' '.join(value.split())}") == (
        "\"{V}\" '{V}' {V} {V}"
    )


def test_a_backslash_in_a_template() -> None:
    fill("\\1{V}", V="abcd")
    assert redaction.redact("\\1abcd") == "\\1{V}"


def test_log_lines_and_tracebacks(tmp_path: Path) -> None:
    path = logs.configure(tmp_path)
    fill("{TOKEN}", TOKEN="hunter2-long")
    try:
        raise ValueError("no model hunter2-long")
    except ValueError as error:
        logging.getLogger("gpu_infer.x").warning("model %s failed", "hunter2-long", exc_info=error)
        logs.record_failure("the end of hunter2-long", error)
    assert path is not None
    text = path.read_text()
    assert "hunter2-long" not in text
    assert "model {TOKEN} failed" in text
    assert "ValueError: no model {TOKEN}" in text


def test_the_report_shows_names_and_files_as_they_are(tmp_path: Path) -> None:
    fill("{TOKEN}", TOKEN="lungmodel")
    report = Report()
    report.data |= {"model": {"name": "lungmodel"}, "output": {"mhd": "/data/lungmodel/a.mhd"}}
    report.data["plan"] = {"stages": ["1. lungmodel"]}
    report.warn("model lungmodel is old")
    report.finish("failed", "model lungmodel answered NaN")
    data = json.loads(report.write(tmp_path).read_text())
    assert data["model"] == {"name": "{TOKEN}"}
    assert data["output"] == {"mhd": "/data/lungmodel/a.mhd"}
    assert data["warnings"] == ["model {TOKEN} is old"]
    assert data["error"] == "model {TOKEN} answered NaN"
    assert data["plan"]["stages"] == ["1. {TOKEN}"]


def test_two_reports_of_one_process_id_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Report(), Report()
    names = []
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        names.append(self.name)
        if len(names) == 1:  # the other container writes while this one is about to rename
            second.write(tmp_path)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    first.write(tmp_path)
    assert len(set(names)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
