"""Plans of volumes that do not fit into memory: strip by strip, with few bytes; or why a volume must be whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from planned_runs import inputs_of, model_of
from strip_runs import inputs_of_file, write_volume

from gpu_infer.errors import ResourceError
from gpu_infer.planning import dry_run, free_memory, strips
from gpu_infer.planning import sizes as planned_sizes
from gpu_infer.planning.free_memory import FreeMemory
from gpu_infer.planning.memory_plan import Placement
from gpu_infer.planning.run_inputs import RunInputs
from gpu_infer.planning.run_plan import make_plan
from gpu_infer.planning.volume_choice import check_whole

GIB = 1 << 30
MIB = 1 << 20
WINDOW = (128, 128, 128)
THRESHOLD = [{"name": "ThresholdAcrossChannels", "args": {"fields": "model", "threshold": 0.5}}]
SHAPE = (2048, 2048, 2000)
GPU = Placement(gpu=True, device_slots=True)


@pytest.fixture
def phantom(tmp_path: Path) -> Path:
    """16.8 GB of uint16 in a file of holes."""
    path = write_volume(tmp_path / "case.mhd", np.zeros((4, 4, 4), np.uint16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    path.write_text(path.read_text().replace("DimSize = 4 4 4", "DimSize = 2048 2048 2000"))
    with (tmp_path / "case.raw").open("r+b") as file:
        file.truncate(2048 * 2048 * 2000 * 2)
    return path


def test_a_volume_larger_than_memory_is_segmented_in_strips(phantom: Path) -> None:
    inputs = inputs_of_file(phantom, post=THRESHOLD)
    plan = make_plan(inputs, model_of(1, WINDOW), FreeMemory(host=2 * GIB, resident=200 * MIB))
    assert plan.strips is not None
    assert plan.memory.host_peak < 2.2 * GIB
    assert plan.fallbacks[0].endswith(": strip by strip")
    assert "volume and labels are never whole in memory: strip by strip" in plan.lines()
    assert plan.memory.knobs.slots == 2


def test_a_volume_that_fits_is_whole_and_its_windows_have_the_same_order(phantom: Path) -> None:
    inputs = inputs_of_file(phantom, post=THRESHOLD)
    whole = make_plan(inputs, model_of(1, WINDOW))
    small = make_plan(inputs, model_of(1, WINDOW), FreeMemory(host=2 * GIB, resident=200 * MIB))
    assert whole.strips is None
    assert whole.memory.host_peak > 20 * GIB
    assert whole.grid == small.grid
    assert whole.grid.visit_order == (2, 1, 0)


def test_the_gpu_of_a_volume_of_16_gb_needs_less_than_1_5_gib(phantom: Path) -> None:
    free = FreeMemory(host=8 * GIB, device=int(1.5 * GIB), resident=200 * MIB)
    plan = make_plan(inputs_of_file(phantom, post=THRESHOLD), model_of(1, WINDOW), free, GPU)
    assert plan.strips is not None
    assert plan.memory.device_peak < 1.5 * GIB
    assert plan.memory.host_peak < GIB
    assert not any("accumulator on the host" in line for line in plan.fallbacks)


def test_strips_that_do_not_fit_are_refused(phantom: Path) -> None:
    with pytest.raises(ResourceError, match=r"2048×2048×2000 becomes 2048×2048×2000 .* 1\.\d GiB at the peak") as error:
        make_plan(
            inputs_of_file(phantom, post=THRESHOLD), model_of(1, WINDOW), FreeMemory(host=GIB, resident=200 * MIB)
        )
    whole, in_strips = str(error.value).split("; strip by strip, ")
    assert "need 62.9 GiB" in whole
    assert "need 1" in in_strips


def test_what_needs_the_whole_volume_is_said_when_it_does_not_fit(phantom: Path) -> None:
    inputs = inputs_of_file(phantom, post=THRESHOLD, options={"preview": True})
    with pytest.raises(
        ResourceError, match=r"it must be whole in memory: the whole volume is needed for --preview"
    ) as error:
        make_plan(inputs, model_of(1, WINDOW), FreeMemory(host=8 * GIB, resident=200 * MIB))
    assert str(error.value.remedy).startswith("without these options the run can work strip by strip; or ")


KEEP = {"name": "KeepLargestCC", "args": {"fields": "model"}}
ARGMAX = {"name": "ArgmaxAcrossChannels", "args": {"fields": "model"}}
LINEAR = {"name": "RestoreOriginalShape", "args": {"field": "model", "src_field": "image", "is_label": False}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"pre": [{"name": "NormalizeNonzeroIntensities", "args": {"fields": "image"}}]}, "needs the whole volume"),
        ({"pre": [{"name": "ScaleIntensity", "args": {"fields": "image"}}]}, "needs the whole volume"),
        (
            {"pre": [{"name": "CropFixedSizeCenter", "args": {"fields": "image", "size": [9, 9, 9]}}]},
            "needs the whole volume",
        ),
        (
            {"pre": [{"name": "ScaleByFactor", "args": {"fields": "image", "factor": 0.5, "interpolation": "cubic"}}]},
            "cubic interpolation needs the whole volume",
        ),
        ({"post": [ARGMAX, KEEP]}, "needs the whole volume"),
        ({"post": [LINEAR, ARGMAX]}, "post-transforms on scores need the whole volume"),
        (
            {"options": {"publish": "published"}},
            "needed for --publish (in a container NVIDIA_CLARA_PUBLISHING, empty to publish nothing)",
        ),
        ({"options": {"statistics": True}}, "the whole volume is needed for --statistics"),
        ({"options": {"formats": ("nii.gz", "seg.nrrd")}}, "label maps as .seg.nrrd are made of the whole volume"),
    ],
)
def test_why_a_volume_must_be_whole(phantom: Path, changes: dict[str, Any], reason: str) -> None:
    refusal = strips.strips_refusal(inputs_of_file(phantom, **changes))
    assert refusal.endswith(reason), refusal


@pytest.mark.parametrize(
    ("changes", "reason", "has_way_out"),
    [
        ({"post": THRESHOLD, "options": {"preview": True}}, "the whole volume is needed for --preview", True),
        (
            {"post": THRESHOLD, "options": {"statistics": True, "scores": "probabilities"}},
            "the whole volume is needed for --statistics, --scores or --uncertainty",
            True,
        ),
        (
            {"post": [ARGMAX, KEEP], "options": {"preview": True}},
            "the whole volume is needed for --preview",
            False,
        ),
    ],
)
def test_voxels_that_do_not_fit_are_refused_with_the_reason(
    phantom: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], reason: str, has_way_out: bool
) -> None:
    """The way out is named only if nothing but the options needs the whole volume."""
    monkeypatch.setattr(free_memory, "free_host_bytes", lambda: 1000 * MIB)
    check_whole(inputs_of_file(phantom, post=THRESHOLD))
    with pytest.raises(ResourceError) as caught:
        check_whole(inputs_of_file(phantom, **changes))
    assert caught.value.message == (
        f"{phantom}: its voxels take 16000.0 MiB, 1000.0 MiB of memory are free; it must be whole in memory: {reason}"
    )
    way_out = "without these options the run can work strip by strip; or "
    assert caught.value.remedy == (
        f"{way_out if has_way_out else ''}give the process more memory (a container's limit), or crop the volume"
    )


def test_small_volumes_and_those_without_a_plain_file_are_whole(tmp_path: Path) -> None:
    small = inputs_of(tmp_path, (64, 64, 64))
    assert strips.strips_refusal(small) == f"it has fewer than {1 << 27} voxels"
    large = inputs_of(tmp_path, (512, 512, 512))
    assert "not one file" in strips.strips_refusal(large)
    assert strips.visit_order(large) == (2, 1, 0)
    assert strips.visit_order(small) is None


def test_windows_keep_their_order_if_the_chain_needs_the_whole_volume(phantom: Path) -> None:
    """The slab axis is then the one with the smallest accumulator."""
    assert strips.visit_order(inputs_of_file(phantom, post=[ARGMAX, KEEP])) is None
    assert strips.visit_order(inputs_of_file(phantom, options={"preview": True})) == (2, 1, 0)


def test_integers_of_64_bits_are_converted_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)
    path = tmp_path / "case.nii"
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int64), np.eye(4), dtype=np.int64), path)
    assert strips.strips_refusal(inputs_of_file(path)) == "its voxels are int64, which are converted all together"


def test_windows_of_one_row_need_the_whole_volume(tmp_path: Path) -> None:
    plan = make_plan(inputs_of(tmp_path, (20, 20, 20)), model_of(2, (8, 1, 8)))
    assert strips.window_refusal(plan.grid, plan.fit) == "windows of one row"
    labels = replace(plan.fit, labels=True)
    assert strips.window_refusal(plan.grid, labels) == "the model answers labels"


def test_sizes_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20×18×30 uint16 with windows of 8³ and steps of 6: own rows 0–5 (6), shared ones 6–7 and 12–13."""
    monkeypatch.setattr(strips, "LARGE_VOXELS", 0)
    path = write_volume(tmp_path / "case.mhd", np.zeros((20, 18, 30), np.uint16), np.eye(4))
    inputs: RunInputs = inputs_of_file(path)
    plan = make_plan(inputs, model_of(2, (8, 8, 8)))
    chain = strips.strip_chain(inputs)
    assert not isinstance(chain, str)
    sizes = strips.strip_sizes(
        plan.memory.sizes, chain, plan.grid, plan.fit, strips.strip_dtypes(inputs, np.dtype(np.float32))
    )
    assert plan.grid.axis_starts[2] == (0, 6, 12, 18, 22)
    strip = 20 * 8 * 8
    assert sizes.prepared == strip * (4 + 2)
    assert sizes.slab_accumulator == 4 * 2 * (20 * 8 * 6 + 20 * 18 * 6)
    assert sizes.result == 2 * (20 * 8 * 8)


def test_validate_plans_strips_for_a_machine_that_is_too_small(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inferer = {"model_name": "one_channel", "roi_size": [128, 128, 128], "batch_size": 1}
    settings = inputs_of_file(phantom, post=THRESHOLD, **inferer).settings
    models = Path(__file__).parents[1] / "models"
    for module in (dry_run, free_memory, planned_sizes):  # that of a process of its own, not of all tests before
        monkeypatch.setattr(module, "resident_bytes", lambda: 128 << 20)
    for gib, strip_by_strip in ((3, True), (128, False)):
        sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": gib * GIB // 4096}
        monkeypatch.setattr(dry_run.os, "sysconf", sizes.__getitem__)
        lines = dry_run.plan(settings, phantom, models)
        assert ("volume and labels are never whole in memory: strip by strip" in lines) is strip_by_strip
        assert not any(line.startswith("warning: the peak") for line in lines)


def test_validate_names_what_needs_the_whole_volume(phantom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pre = [{"name": "NormalizeIntensity", "args": {"fields": "image"}}]
    settings = inputs_of_file(phantom, pre=pre, post=THRESHOLD, model_name="one_channel", roi_size=[128] * 3).settings
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 3 * GIB // 4096}
    monkeypatch.setattr(dry_run.os, "sysconf", sizes.__getitem__)
    (line,) = [
        line
        for line in dry_run.plan(settings, phantom, Path(__file__).parents[1] / "models")
        if line.startswith("warning: the peak")
    ]
    assert "GiB, this machine has 3.0 GiB; it must be whole in memory: image: NormalizeIntensity needs" in line
