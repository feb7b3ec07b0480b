"""What `gpu-infer view` finds in the folders of a run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_infer.choices import Format
from gpu_infer.errors import InputError
from gpu_infer.label_table.table import Label, LabelTable
from gpu_infer.report import label_volumes
from gpu_infer.system.resources import resource_folder
from gpu_infer.view.study import open_study
from gpu_infer.volume.geometry import Geometry
from gpu_infer.volume.millilitres import rounded_ml
from gpu_infer.volume.read import read_volume
from gpu_infer.volume.volume import Volume
from gpu_infer.writers import label_maps
from gpu_infer.writers.metaimage import write_metaimage
from gpu_infer.writers.nifti import write_nifti
from gpu_infer.writers.page import asset
from gpu_infer.writers.page.case import make_legend
from gpu_infer.writers.page.write import LabelMap, write_page
from gpu_infer.writers.publish import publish
from gpu_infer.writers.reports import write_report

SETTINGS = resource_folder("config") / "config_render.json"
SHAPE = (6, 5, 4)
GEOMETRY = Geometry(SHAPE, np.diag([-0.7, -0.7, 2.5, 1.0]))
TABLE = LabelTable({2: Label(2, "lung", (1, 2, 250))})


class Run:
    """The files of a run with one label map: labels 0, 2 and 5."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.image = np.random.default_rng(1).integers(-1000, 1000, SHAPE).astype(np.int16)
        self.labels = np.random.default_rng(2).choice([0, 2, 5], SHAPE).astype(np.uint8)
        self.source = write_nifti(Volume(self.image[None], GEOMETRY, root, "nifti"), root / "input", "case.nii.gz")
        self.output, self.publish = root / "output", root / "publish"
        self.output.mkdir()
        self.mhd, raw = write_metaimage(self.labels, GEOMETRY, self.output, "case")
        counts = np.bincount(self.labels.ravel()).tolist()
        self.section = label_volumes(counts, 0.7 * 0.7 * 2.5 / 1000, TABLE)
        output = {"field": "model", "mhd": str(self.mhd), "raw": str(raw), "labels": self.section}
        self.report: dict[str, Any] = {
            "status": "done",
            "input": {"path": str(self.source)},
            "outputs": [output],
        }

    def write_report(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "report.json").write_text(json.dumps(self.report))

    def expected(self) -> list[tuple[int, int, str, int, float]]:
        names = {2: "lung", 5: "label 5"}
        return [
            (
                n,
                i,
                names[n],
                int((self.labels == n).sum()),
                rounded_ml(int((self.labels == n).sum()) * 0.7 * 0.7 * 2.5 / 1000),
            )
            for i, n in enumerate((2, 5), start=1)
        ]


@pytest.fixture
def case(tmp_path: Path) -> Run:
    return Run(tmp_path)


def rows(study: Any) -> list[tuple[int, int, str, int, float]]:
    return [(row.number, row.index, row.name, row.voxels, row.ml) for row in study.maps[0].legend.rows]


@pytest.mark.parametrize("place", ["output", "output/logs", "logs"])
def test_the_output_folder_has_a_report(case: Run, place: str) -> None:
    case.write_report(case.root / place)
    study = open_study(case.output)
    np.testing.assert_array_equal(study.volume.data[0], case.image)
    np.testing.assert_array_equal(study.maps[0].labels, case.labels)
    assert rows(study) == case.expected()
    assert study.maps[0].legend.rows[0].colour == (1, 2, 250)
    assert (study.case.name, study.case.block) == ("case", (1, 1, 1))


def test_the_report_next_to_a_folder_may_be_of_another_one(case: Run) -> None:
    case.write_report(case.root / "logs")
    other = case.root / "other"
    other.mkdir()
    with pytest.raises(InputError, match=r"other: found neither report\.json of a finished run"):
        open_study(other)


def test_a_later_run_into_another_folder_hides_no_report(case: Run) -> None:
    """Runs that share their logs: the last one's report is report.json."""
    case.report |= {"case": "case", "started": "2026-01-01T10:00:00"}
    logs = case.root / "logs"
    write_report(logs, case.report)
    other = case.root / "other"
    other.mkdir()
    mhd, _ = write_metaimage(case.labels, GEOMETRY, other, "second")
    later = {"case": "second", "started": "2026-01-01T11:00:00", "input": {"path": str(case.root / "second.nii")}}
    write_report(logs, {**case.report, **later, "outputs": [{**case.report["outputs"][0], "mhd": str(mhd)}]})
    assert rows(open_study(case.output)) == case.expected()


def test_a_moved_output_folder_has_its_label_map_next_to_the_report(case: Run) -> None:
    case.write_report(case.output)
    moved = case.output.rename(case.root / "moved")
    np.testing.assert_array_equal(open_study(moved).maps[0].labels, case.labels)


@pytest.mark.parametrize("form", ["mha", "nii.gz", "nii", "nrrd", "seg.nrrd"])
def test_a_run_may_have_written_no_mhd(case: Run, form: Format) -> None:
    case.mhd.unlink()
    maps = {"model": label_maps.LabelMap(case.labels, "uint8", (form,))}
    (path,) = label_maps.write_label_maps(maps, GEOMETRY, case.output, "case")["model"][form]
    files = [{"format": form, "path": str(path)}]
    case.report["outputs"] = [{"field": "model", "files": files, "labels": case.section}]
    case.write_report(case.output)
    np.testing.assert_array_equal(open_study(case.output).maps[0].labels, case.labels)


def test_a_run_in_index_space_has_no_label_map(case: Run) -> None:
    case.report["input"]["index_space"] = "gantry tilt of 18.00°"
    case.report["outputs"] = [{"field": "model", "files": [], "labels": case.section}]
    case.write_report(case.output)
    with pytest.raises(InputError, match=r"of a run in index space, which has no label map \(show its SEG"):
        open_study(case.output)


def test_the_publish_folder_has_all_without_the_input(case: Run) -> None:
    publish(read_volume(case.source), case.mhd, "m", case.publish, SETTINGS)
    case.source.unlink()
    study = open_study(case.publish)
    np.testing.assert_array_equal(study.volume.data[0], case.image)
    np.testing.assert_array_equal(study.maps[0].labels, case.labels)
    assert [row[0] for row in rows(study)] == [2, 5]
    assert [row[2] for row in rows(study)] == ["label 2", "label 5"]
    assert [row[3:] for row in rows(study)] == [row[3:] for row in case.expected()]


def test_names_in_the_publish_folder_are_those_of_its_page(
    case: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = tmp_path / "niivue.umd.js"
    viewer.write_bytes(asset.VIEWER_MARK)
    (tmp_path / "niivue.licence.txt").write_text("")
    monkeypatch.setattr(asset, "_VIEWER", viewer)
    volume = read_volume(case.source)
    publish(volume, case.mhd, "m", case.publish, SETTINGS, dialect="v2")
    legend = make_legend("model", case.section, TABLE)
    write_page(volume, [LabelMap(case.labels, legend)], "case", case.publish, SETTINGS)
    study = open_study(case.publish)
    assert rows(study) == case.expected()
    assert study.maps[0].legend.rows[0].colour == (1, 2, 250)


def test_folders_without_a_run_are_refused(case: Run) -> None:
    with pytest.raises(InputError, match=r"none: no such folder .give the output or the publish folder of a run"):
        open_study(case.root / "none")
    with pytest.raises(InputError, match=r"found neither report\.json of a finished run nor config\.meta"):
        open_study(case.output)


def test_a_file_is_refused_with_its_folder(case: Run) -> None:
    with pytest.raises(InputError) as caught:
        open_study(case.mhd)
    assert str(caught.value) == f"{case.mhd}: is a file, expected a folder (gpu-infer view {case.output})"


def test_the_folder_of_a_file_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my out").mkdir()
    for place, folder in (("my out/scan.mhd", "'my out'"), ("scan.mhd", ".")):
        Path(place).touch()
        with pytest.raises(InputError) as caught:
            open_study(Path(place))
        assert caught.value.remedy == f"gpu-infer view {folder}"


def test_the_folder_of_a_batch_names_that_of_one_case(case: Run) -> None:
    """One that can be shown, if there is any."""
    batch = case.root / "batch"
    failed, done = batch / "case 1", batch / "case 2"
    batch.mkdir()
    (batch / "logs").mkdir()
    done.mkdir()
    case.write_report(done)
    case.report = {"status": "failed", "error": "no server"}
    case.write_report(failed)
    with pytest.raises(InputError) as caught:
        open_study(batch)
    assert str(caught.value) == (
        f"{batch}: has folders of cases, expected the folder of one (give one of them: gpu-infer view '{done}')"
    )
    (done / "report.json").unlink()
    with pytest.raises(InputError, match=r"gpu-infer view '.*/case 1'"):
        open_study(batch)


@pytest.mark.parametrize("place", ["output", "output/logs", "logs"])
def test_a_failed_run_hides_no_earlier_one(case: Run, place: str, caplog: pytest.LogCaptureFixture) -> None:
    """write_report leaves the report of the label maps under the name of the case."""
    write_report(case.root / place, case.report)
    write_report(case.root / place, case.report | {"status": "failed", "error": "no server", "outputs": []})
    study = open_study(case.output)
    assert rows(study) == case.expected()
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith(f"{case.root / place / 'report.json'}: the last run failed: no server (this is the result")
    assert "case.report.json" in line


def test_a_run_that_failed_early_names_no_case(case: Run, caplog: pytest.LogCaptureFixture) -> None:
    """The newest result is shown."""
    case.report["case"] = "case"
    other = case.report | {"case": "other", "started": "2026-01-01", "outputs": [{"mhd": "else/other.mhd"}]}
    older = case.report | {"case": "older", "started": "2025-01-01", "input": {"path": "gone.nii"}}
    for content in (older, case.report | {"started": "2025-01-02"}, other, {"status": "failed", "error": "bad key"}):
        write_report(case.output, content)
    assert rows(open_study(case.output)) == case.expected()
    assert "the last run failed: bad key" in caplog.text


def test_a_run_that_failed_after_its_label_maps_is_shown(case: Run, caplog: pytest.LogCaptureFixture) -> None:
    case.report |= {"status": "failed", "error": "1 of 1 DICOM files not stored"}
    case.write_report(case.output)
    assert rows(open_study(case.output)) == case.expected()
    assert "the run failed after it wrote the label maps: 1 of 1 DICOM files not stored" in caplog.text


def test_failed_runs_alone_are_refused_with_the_cause(case: Run) -> None:
    case.report = {"status": "failed", "error": "no server"}
    case.write_report(case.output)
    cause = r"output/report\.json: the last run failed, and no report names label maps of an earlier one: no server"
    with pytest.raises(InputError, match=rf"{cause} \(run the segmentation again, or give the publish folder"):
        open_study(case.output)


def test_the_remedy_of_a_failed_run_is_the_only_one(case: Run) -> None:
    case.report = {"status": "failed", "error": "in.nii: no such file or folder (check the input path)"}
    case.write_report(case.output)
    with pytest.raises(InputError, match=r": in\.nii: no such file or folder \(check the input path\)$"):
        open_study(case.output)


def record_input(case: Run) -> None:
    """Add to the report what a run knows about its input."""
    digest = hashlib.sha256(case.source.read_bytes()).hexdigest()
    case.report["input"] |= {"files": [str(case.source)], "sha256": digest}
    case.write_report(case.output)


def test_the_same_input_is_shown_without_a_word(case: Run, caplog: pytest.LogCaptureFixture) -> None:
    record_input(case)
    content = case.source.read_bytes()
    case.source.unlink()
    case.source.write_bytes(content)  # another time
    open_study(case.output)
    assert caplog.messages == []


def test_an_input_that_has_changed_is_named(case: Run, caplog: pytest.LogCaptureFixture) -> None:
    record_input(case)
    write_nifti(Volume(case.image[None] + 1, GEOMETRY, case.root, "nifti"), case.source.parent, case.source.name)
    open_study(case.output)
    (line,) = caplog.messages
    assert line == (
        f"{case.source}: changed since the run, and the labels may not belong to it (run the segmentation again; "
        "--publish FOLDER keeps a copy)"
    )


def test_an_input_that_changed_during_the_run_is_named(case: Run, caplog: pytest.LogCaptureFixture) -> None:
    case.report["input"] |= {"files": [str(case.source)], "sha256": None}
    case.write_report(case.output)
    open_study(case.output)
    assert f"{case.source}: changed during the run, so that the report has no sha256 of it" in caplog.text


def test_a_file_that_the_run_did_not_read_is_named(case: Run, caplog: pytest.LogCaptureFixture) -> None:
    record_input(case)
    case.report["input"]["files"] = [str(case.source.with_name("slice_1.dcm"))]
    case.write_report(case.output)
    open_study(case.output)
    assert f"{case.source}: has a file that the run did not read: case.nii.gz" in caplog.text


@pytest.mark.parametrize("below", ["", "/st0/se1"])
def test_an_input_in_an_archive_is_named(case: Run, below: str) -> None:
    (case.root / "exam.zip").write_bytes(b"PK\x03\x04")
    case.report["input"]["path"] = f"{case.root}/exam.zip{below}"
    case.write_report(case.output)
    with pytest.raises(InputError, match=r"exam\.zip: found an archive as the input of the run in .*") as caught:
        open_study(case.output)
    assert caught.value.remedy == "run again with --publish FOLDER, which keeps a copy"


def test_an_input_that_is_gone_is_named(case: Run) -> None:
    case.write_report(case.output)
    case.source.unlink()
    with pytest.raises(InputError, match=r"case\.nii\.gz: the input of the run in .* is not there any more") as caught:
        open_study(case.output)
    assert caught.value.remedy == "move it back to that path, or run again with --publish FOLDER, which keeps a copy"


def test_a_publish_folder_is_named_if_the_run_wrote_one(case: Run, caplog: pytest.LogCaptureFixture) -> None:
    written = publish(read_volume(case.source), case.mhd, "m", case.publish, SETTINGS)
    case.report["published"] = [str(path) for path in written]
    record_input(case)
    write_nifti(Volume(case.image[None] + 1, GEOMETRY, case.root, "nifti"), case.source.parent, case.source.name)
    open_study(case.output)
    assert caplog.text.rstrip().endswith(f"(run the segmentation again, or give {case.publish}, which has a copy)")
    case.source.unlink()
    with pytest.raises(InputError) as caught:
        open_study(case.output)
    assert caught.value.remedy == f"give {case.publish}, which has a copy, or move the input back to that path"
    (case.publish / "config.meta").unlink()
    with pytest.raises(InputError) as caught:
        open_study(case.output)
    assert str(caught.value.remedy).startswith("move it back to that path, or run again with --publish")


def test_a_label_map_on_another_grid_is_refused(case: Run) -> None:
    case.write_report(case.output)
    affine = GEOMETRY.affine.copy()
    affine[0, 3] = 1.0
    write_metaimage(case.labels, Geometry(SHAPE, affine), case.output, "case")
    with pytest.raises(InputError, match=r"case\.mhd: found a grid of 6×5×4 voxels, expected that of the volume"):
        open_study(case.output)


def test_a_label_map_of_a_later_run_is_refused(case: Run) -> None:
    """Its report is in another folder, and its labels may have other names."""
    case.write_report(case.output)
    later = np.where(case.labels == 2, 7, case.labels).astype(np.uint8)
    write_metaimage(later, GEOMETRY, case.output, "case")
    lungs = int((case.labels == 2).sum())
    with pytest.raises(InputError, match=rf"case\.mhd: found 0 voxels of label 2, expected {lungs} as in .*report"):
        open_study(case.output)


def test_a_publish_folder_with_a_later_case_is_not_named(case: Run) -> None:
    written = publish(read_volume(case.source), case.mhd, "m", case.publish, SETTINGS)
    case.report["published"] = [*(str(path) for path in written), str(case.publish / "case of before.mhd")]
    record_input(case)
    case.source.unlink()
    with pytest.raises(InputError) as caught:
        open_study(case.output)
    assert str(caught.value.remedy).startswith("move it back to that path, or run again with --publish")


def test_the_publish_folder_of_a_batch_names_that_of_one_case(case: Run) -> None:
    published = case.root / "published" / "case 1"
    publish(read_volume(case.source), case.mhd, "m", published, SETTINGS)
    with pytest.raises(InputError) as caught:
        open_study(published.parent)
    assert caught.value.remedy == f"give one of them: gpu-infer view '{published}'"


@pytest.mark.parametrize("name", ["null\0byte.mhd", "circle/case.mhd", 3])
@pytest.mark.parametrize("key", ["mhd", "path"])
def test_names_that_cannot_be_a_file_are_refused(case: Run, key: str, name: Any) -> None:
    (case.output / "circle").symlink_to("circle")
    place = str(case.output / name) if isinstance(name, str) else name
    section = case.report["outputs"][0] if key == "mhd" else case.report["input"]
    section[key] = place
    case.mhd.unlink()
    case.write_report(case.root / "logs")
    case.write_report(case.output)
    with pytest.raises(InputError):
        open_study(case.output)


@pytest.mark.parametrize("density", ["../case.mhd", "/etc/passwd", 3])
def test_config_meta_names_files_of_its_own_folder_only(case: Run, density: Any) -> None:
    case.publish.mkdir()
    (case.publish / "config.meta").write_text(json.dumps({"density": density, "seg_masks": ["case.out.mhd"]}))
    with pytest.raises(InputError, match=r"config\.meta: names no volume with label maps"):
        open_study(case.publish)


def test_a_damaged_report_is_refused(case: Run) -> None:
    del case.report["input"]
    case.write_report(case.output)
    with pytest.raises(InputError, match=r"report\.json: not a report of this version: KeyError"):
        open_study(case.output)
