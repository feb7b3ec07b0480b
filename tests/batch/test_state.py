"""case.json: what is done, failed or to do, after which changes; files of other programs stay."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jobs import make_case, make_job, write_done

from gpu_infer.batch.case import Case
from gpu_infer.batch.case_folder import prepare
from gpu_infer.batch.inputs import look_at
from gpu_infer.batch.job import BatchJob
from gpu_infer.batch.job_key import job_key
from gpu_infer.batch.outcome import Outcome
from gpu_infer.batch.state import FILE, decide, done_record, failed_record, outcome_of, read_record, write_record
from gpu_infer.errors import ConfigError

CONTENT = b"voxels"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def done_case(root: Path) -> tuple[BatchJob, Case]:
    job = make_job(root)
    case = make_case(root, content=CONTENT)
    write_done(job, case, [look_at(case.inputs[0])], SHA256, [case.inputs[0]])
    return job, case


def state(job: BatchJob, case: Case, **options: Any) -> str:
    return decide(job, case, job_key(job), **options).state


def test_a_case_without_a_folder_is_to_do(tmp_path: Path) -> None:
    assert state(make_job(tmp_path), make_case(tmp_path)) == "todo"


def test_a_done_case_is_done_until_something_changes(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    assert state(job, case) == "done"
    assert state(job, case, force=True) == "todo"
    (job.case_folder(case) / "a.mhd").unlink()
    assert state(job, case) == "todo"


def test_new_content_of_the_same_size_counts_if_the_time_differs(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    case.inputs[0].write_bytes(b"VOXELS")
    os.utime(case.inputs[0], ns=(1, 1))
    assert state(job, case) == "todo"


def test_a_new_time_alone_changes_nothing_and_is_recorded(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    os.utime(case.inputs[0], ns=(1, 1))
    decision = decide(job, case, job_key(job))
    assert (decision.state, decision.has_new_times) == ("done", True)
    assert decision.record is not None
    write_record(job.case_folder(case), decision.record)
    assert decide(job, case, job_key(job)) == ("done", decision.record, False)


def test_a_file_that_was_moved_is_known_by_its_content(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    moved = tmp_path / "elsewhere.nii.gz"
    case.inputs[0].rename(moved)
    assert state(job, Case("a", (moved,))) == "done"
    moved.write_bytes(CONTENT + b"!")
    assert state(job, Case("a", (moved,))) == "todo"


def test_voxels_in_a_file_of_their_own_count(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    header, raw = tmp_path / "in/a.mhd", tmp_path / "in/a.raw"
    header.write_bytes(b"head")
    raw.write_bytes(b"body")
    case = Case("a", (header,))
    write_done(job, case, [look_at(header)], hashlib.sha256(b"headbody").hexdigest(), [header, raw])
    assert state(job, case) == "done"
    os.utime(raw, ns=(1, 1))
    assert state(job, case) == "done"
    raw.write_bytes(b"BODY")
    assert state(job, case) == "todo"


def test_the_files_of_a_folder_count(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    folder = tmp_path / "in/series"
    folder.mkdir()
    slices = [folder / f"{n}.dcm" for n in range(3)]
    for n, path in enumerate(slices):
        path.write_bytes(bytes([n]))
    case = Case("s", (folder,))
    write_done(job, case, [look_at(folder)], hashlib.sha256(b"\0\1\2").hexdigest(), slices)
    assert state(job, case) == "done"
    os.utime(slices[1], ns=(1, 1))
    os.utime(slices[2], ns=(2**61, 2**61))
    assert state(job, case) == "done"  # by its content
    (folder / "3.dcm").write_bytes(b"3")
    (folder / ".hidden").write_bytes(b"3")
    assert state(job, case) == "done"  # nothing that the run reads
    slices[0].write_bytes(b"X")
    assert state(job, case) == "todo"


def test_an_archive_is_known_by_its_size_and_time_alone(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    case = Case("z", (tmp_path / "in/z.zip",))
    case.inputs[0].write_bytes(b"archive")
    write_done(job, case, [look_at(case.inputs[0])], SHA256, [tmp_path / "in/z.zip/1.dcm"])
    assert state(job, case) == "done"
    os.utime(case.inputs[0], ns=(1, 1))
    assert state(job, case) == "todo"


def test_other_options_or_another_configuration_run_the_case_again(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    assert state(make_job(tmp_path, statistics=True), case) == "todo"
    assert state(make_job(tmp_path, format=None, wait_s=3, triton="other:8000", device="cpu"), case) == "done"
    content = json.loads(job.settings.config.read_text())
    job.settings.config.write_text(json.dumps(content, indent=4))  # another layout
    assert state(job, case) == "done"
    content["inferer"]["args"]["roi_size"] = [16, 8, 8]
    job.settings.config.write_text(json.dumps(content))
    assert state(job, case) == "todo"


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("input", ("failed", "todo")),
        ("crash", ("failed", "todo")),
        ("server", ("todo",) * 2),
        ("resource", ("todo",) * 2),
    ],
)
def test_a_failure_stays_unless_the_server_or_the_machine_was_to_blame(
    tmp_path: Path, kind: str, states: tuple[str, str]
) -> None:
    job, case = make_job(tmp_path), make_case(tmp_path)
    outcome = Outcome("a", "failed", error="it broke", exit_code=3, kind=kind, seconds=0.5)
    write_record(job.case_folder(case), failed_record(case, job_key(job), outcome, [look_at(case.inputs[0])]))
    assert (state(job, case), state(job, case, retry_failed=True)) == states
    record = read_record(job.case_folder(case))
    assert record is not None
    assert replace(outcome_of(record), report={}) == replace(outcome, skipped=True)
    case.inputs[0].write_bytes(b"corrected")
    assert state(job, case) == "todo"


def test_a_missing_input_stays_a_failure(tmp_path: Path) -> None:
    job, case = make_job(tmp_path), Case("gone", (tmp_path / "in/gone.nii",))
    outcome = Outcome("gone", "failed", error="no such file", exit_code=3, kind="input")
    write_record(job.case_folder(case), failed_record(case, job_key(job), outcome, [look_at(case.inputs[0])]))
    assert state(job, case) == "failed"


def test_the_uid_of_a_series_is_not_recorded(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    case = replace(case, series="1.2.840.113619.2.55")
    assert state(job, case) == "todo"
    write_done(job, case, [look_at(case.inputs[0])], SHA256, [case.inputs[0]])
    assert "1.2.840" not in (job.case_folder(case) / FILE).read_text()
    assert state(job, case) == "done"
    assert state(job, replace(case, series="1.2.840.113619.2.56")) == "todo"


def test_outputs_are_recorded_relative_to_the_case(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    job.output.rename(tmp_path / "moved")
    assert state(make_job(tmp_path, logs=tmp_path), case) == "todo"
    moved = replace(job, settings=replace(job.settings, output=tmp_path / "moved"))
    assert state(moved, case) == "done"


def test_outputs_with_and_without_the_current_folder_are_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job, case = done_case(tmp_path)
    folder = Path("out/a")
    files = [folder / "a.mhd", folder / "a.raw", tmp_path / folder / "a.raw", Path("pub/a.nii")]
    record = done_record(case, job_key(job), Outcome("a", "done"), [], files, folder)
    assert record["files"] == [f"{tmp_path}/pub/a.nii", "a.mhd", "a.raw"]


@pytest.mark.parametrize("content", [b"", b"{", b"\0\0\0", b'{\n "format": "gpu_infer case 1",\n "id"'])
def test_a_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    job, case = done_case(tmp_path)
    (job.case_folder(case) / FILE).write_bytes(content)
    assert state(job, case) == "todo"
    prepare(job.case_folder(case))
    assert not (job.case_folder(case) / FILE).exists()


@pytest.mark.parametrize(
    "content", ["[]", "1", "{}", "my notes", "[" * 10**5, '{"format": "gpu_infer case 2"}', '{"status": "done"}']
)
def test_a_file_of_another_program_is_refused_and_stays(tmp_path: Path, content: str) -> None:
    job, case = done_case(tmp_path)
    (job.case_folder(case) / FILE).write_text(content)
    assert state(job, case) == "todo"
    with pytest.raises(ConfigError, match=r"case\.json: found a file of another program or version, expected"):
        prepare(job.case_folder(case))
    assert (job.case_folder(case) / FILE).read_text() == content


def test_an_attempt_begins_without_the_remains_of_dead_ones(tmp_path: Path) -> None:
    job, case = done_case(tmp_path)
    folder = job.case_folder(case)
    ours = [folder / f".{name}.{'0' * 16}.partial" for name in ("case.json", "report.json")]
    foreign = [folder / ".notes.txt.0123456789abcdef.partial", folder / "notes.txt", folder / "a.mhd"]
    for path in (*ours, *foreign):
        path.touch()
    stage = folder / ".a.mhd.abcdefgh.partial"
    stage.mkdir()
    (stage / ".gpu_infer").touch()
    (stage / "a.raw").write_bytes(b"half")
    assert prepare(folder) == ["a.mhd"]
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(
        [*foreign[:2], folder / "earlier/a.mhd"]
    )


def test_a_slice_that_was_replaced_counts_though_it_is_not_the_newest(tmp_path: Path) -> None:
    job, folder = make_job(tmp_path), tmp_path / "in/series"
    folder.mkdir(parents=True)
    for n in range(3):
        (folder / f"{n}.dcm").write_bytes(b"slice")
        os.utime(folder / f"{n}.dcm", ns=(n * 10**9, n * 10**9))
    case = Case("series", (folder,))
    files = sorted(folder.iterdir())
    write_done(job, case, [look_at(folder)], hashlib.sha256(b"slice" * 3).hexdigest(), files)
    assert state(job, case) == "done"
    (folder / "1.dcm").write_bytes(b"other")
    os.utime(folder / "1.dcm", ns=(15 * 10**8, 15 * 10**8))
    assert state(job, case) == "todo"


def test_a_file_that_changed_during_its_run_is_read_again(tmp_path: Path) -> None:
    job, case = make_job(tmp_path), make_case(tmp_path)
    report = {"input": {"files": [str(case.inputs[0])], "sha256": hashlib.sha256(b"voxels").hexdigest()}}
    outcome = Outcome(case.id, "done", report=report)
    begun_ns = case.inputs[0].stat().st_mtime_ns
    folder = job.case_folder(case)
    for begun, expected in ((begun_ns, "todo"), (begun_ns + 1, "done")):
        write_record(folder, done_record(case, job_key(job), outcome, [look_at(case.inputs[0])], [], folder, begun))
        assert state(job, case) == expected, begun


@pytest.mark.parametrize("record", ['{"files": 3}', '{"status": "done"}', '{"status": "done", "files": [], "read": 1}'])
def test_a_record_with_other_values_is_to_do(tmp_path: Path, record: str) -> None:
    job, case = done_case(tmp_path)
    path = job.case_folder(case) / FILE
    content = json.loads(path.read_text())
    known = {name: content[name] for name in ("format", "id", "series", "config", "options")}
    path.write_text(json.dumps(known | json.loads(record)))
    assert state(job, case) == "todo"
