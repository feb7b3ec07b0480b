"""Reasons of a failed start, from the server's log."""

from __future__ import annotations

from pathlib import Path

from gpu_infer.triton.local.ready import failure_reason, port_was_taken, without_version


def test_reasons_come_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        'I1 a.cc:1] "loading: b:1"\n'
        "E1122 22:30:57.1 1 model_lifecycle.cc:642] \"failed to load 'b' version 1: Internal: no weights\"\n"
        "E1122 22:30:57.2 1 x.cc:1] \"Poll failed for model directory 'a': bad config\"\n"
        "error: creating server: Internal - failed to load all models\n"
    )
    reason = failure_reason(log)
    assert reason == "model 'a' failed to load: bad config; model 'b' failed to load: Internal: no weights"
    assert not port_was_taken(log)
    start = log.stat().st_size
    with log.open("a") as stream:
        stream.write(
            "E1122 22:30:57.2 1 main.cc:1] \"failed to start HTTP service: Socket '127.0.0.1:8000' already in use \"\n"
        )
    assert port_was_taken(log)
    assert failure_reason(log, start) == "failed to start HTTP service: Socket '127.0.0.1:8000' already in use"
    log.write_text("one\ntwo\n")
    assert failure_reason(log) == "one | two"
    log.write_text("")
    assert failure_reason(log) == "its log is empty"


def test_a_fault_in_a_configuration_has_its_place(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "[libprotobuf ERROR /tmp/text_format.cc:337] Error parsing text-format inference.ModelConfig: 3:5: Non-"
        'repeated field "name" is specified multiple times.\n'
        "E1129 23:52:20.8 1 model_repository_manager.cc:1460] \"Poll failed for model directory 'a': failed to read "
        'text proto from /r/a/config.pbtxt"\n'
        "E1129 23:52:20.8 1 model_repository_manager.cc:1460] \"Poll failed for model directory 'b': failed to read "
        'text proto from /r/b/config.pbtxt"\n'
    )
    assert failure_reason(log) == (
        "model 'a' failed to load: /r/a/config.pbtxt: line 3, column 5: Non-repeated field \"name\" is specified "
        "multiple times.; model 'b' failed to load: failed to read text proto from /r/b/config.pbtxt"
    )


def test_of_the_frames_of_code_the_innermost_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "E1129 23:52:43.6 1 model_lifecycle.cc:642] \"failed to load 'm' version 1: Internal: ValueError: weights "
        'are\\nmissing\\n\\nAt:\\n  /r/m/1/model.py(4): f\\n  /r/m/1/model.py(5): initialize\\n"\n'
    )
    assert failure_reason(log) == (
        "model 'm' failed to load: Internal: ValueError: weights are missing, at /r/m/1/model.py(4)"
    )


def test_many_reasons_are_one_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "".join(
            f"E1122 22:30:57.1 1 model_lifecycle.cc:642] \"failed to load 'm{n:02}' version 1: {'why ' * 200}\"\n"
            for n in range(25)
        )
    )
    reason = failure_reason(log)
    assert reason.count("failed to load") == 3
    assert reason.startswith("model 'm00' failed to load: why why")
    assert reason.endswith("; and 22 more")
    assert len(reason) < 1000
    log.write_text("x" * 5000)
    assert len(failure_reason(log)) == 400


def test_models_without_a_version_folder(tmp_path: Path) -> None:
    for name, version in (("b", "1"), ("a", None), ("c", "one"), ("d", "12")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.pbtxt").write_text("")
        if version:
            (tmp_path / name / version).mkdir()
    (tmp_path / "no_model").mkdir()
    assert without_version(tmp_path) == [tmp_path / "a", tmp_path / "c"]
