"""Sessions: many runs with one server, one ring and one device give what single runs give."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from cudasim.simulated import open_segments_as_cuda, simulated_cupy
from operator_helpers import config, regions, write_config, write_nifti

from gpu_infer.app import run
from gpu_infer.errors import ConfigError, InputError, ServerError
from gpu_infer.progress import Progress
from gpu_infer.session.session import Session
from gpu_infer.settings import Settings
from gpu_infer.triton.client.server import Server
from gpu_infer.triton.ring import SlotRing

pytestmark = pytest.mark.slow

AFFINE = np.diag([-0.9, 1.1, 1.4, 1.0])
SHAPE = (33, 21, 18)


def voxels(seed: int, shape: tuple[int, int, int] = SHAPE) -> Any:
    return np.random.default_rng(seed).integers(-1, 6, shape).astype(np.int16)


def settings_of(root: Path, server: Any, **options: Any) -> Settings:
    """Settings of a session; the cases are below `root`/cases."""
    content = options.pop("content", config("classes5", roi_size=[16, 12, 10], mode="nnunet"))
    path = write_config(root / "config", content)
    options = {"device": "cpu", "wait_s": 30.0, "deadline_s": 60.0, "batch_size": 2} | options
    environ = {"NVIDIA_TRITON_GRPCURI": server.grpc}
    return Settings.from_environment(environ, input=root, output=root / "out", config=path, **options)


def case(root: Path, settings: Settings, name: str, data: Any) -> Settings:
    path = write_nifti(root / "cases" / f"{name}.nii", data, AFFINE)
    return replace(settings, input=path, output=root / "out" / name, logs=root / "out" / name, output_name=name)


def labels_of(result: Any) -> Any:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(result.output)))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a server was connected, a model asked and a ring opened."""
    counts = {"connect": 0, "model": 0, "ring": 0}

    def counted(cls: Any, name: str, key: str) -> None:
        method = getattr(cls, name)
        function = method.__func__ if isinstance(cls.__dict__[name], classmethod) else method

        def call(*arguments: Any, **named: Any) -> Any:
            counts[key] += 1
            return function(*arguments, **named)

        monkeypatch.setattr(cls, name, classmethod(call) if function is not method else call)

    counted(Server, "connect", "connect")
    counted(Server, "model", "model")
    counted(SlotRing, "__init__", "ring")
    return counts


def test_labels_are_those_of_single_runs(tmp_path: Path, triton_server: Any, opened: dict[str, int]) -> None:
    settings = settings_of(tmp_path, triton_server)
    cases = [case(tmp_path, settings, f"case{n}", voxels(n)) for n in range(4)]
    with Session(settings) as session:
        results = [session.run(each) for each in cases]
        assert opened == {"connect": 1, "model": 1, "ring": 1}
    assert regions(triton_server) == []
    for each, result in zip(cases, results, strict=True):
        assert result.output == each.output / f"{each.output_name}.mhd"
        alone = run(replace(each, output=tmp_path / "alone", logs=tmp_path / "alone"))
        np.testing.assert_array_equal(labels_of(result), labels_of(alone))
        assert len(np.unique(labels_of(alone))) > 1
        for key in ("requests", "bytes_shm", "retries", "reregistrations"):  # of this run, not of the session
            assert result.data["triton"][key] == alone.data["triton"][key], key


def test_a_ring_of_another_size_replaces_the_first(tmp_path: Path, triton_server: Any, opened: dict[str, int]) -> None:
    settings = settings_of(tmp_path, triton_server)
    large = case(tmp_path, settings, "large", voxels(1))
    small = case(tmp_path, settings, "small", voxels(2, (10, 10, 10)))  # one window: one slot of batch 1
    with Session(settings) as session:
        results = [session.run(each) for each in (large, small, replace(large, output=tmp_path / "again"))]
        assert opened["ring"] == 3
        assert len(regions(triton_server)) == 1
    np.testing.assert_array_equal(labels_of(results[2]), labels_of(results[0]))
    np.testing.assert_array_equal(labels_of(results[1]), labels_of(run(replace(small, output=tmp_path / "alone"))))


@pytest.mark.parametrize("broken", ["missing", "damaged"])
def test_a_bad_case_does_not_end_the_session(tmp_path: Path, triton_server: Any, broken: str) -> None:
    settings = settings_of(tmp_path, triton_server)
    good, bad = (case(tmp_path, settings, name, voxels(3)) for name in ("good", "bad"))
    if broken == "missing":
        bad.input.unlink()
    else:
        bad.input.write_bytes(bad.input.read_bytes()[:500])
    with Session(settings) as session:
        with pytest.raises(InputError):
            session.run(bad)
        first = session.run(good)
        with pytest.raises(InputError):
            session.run(bad)
        second = session.run(replace(good, output=tmp_path / "second"))
    np.testing.assert_array_equal(labels_of(first), labels_of(second))


def test_a_failed_inference_gets_a_new_ring(tmp_path: Path, triton_server: Any, opened: dict[str, int]) -> None:
    settings = settings_of(tmp_path, triton_server)
    good = case(tmp_path, settings, "good", voxels(3))

    def stop(event: Progress) -> None:
        if event.stage == "infer" and event.done > 1:
            raise KeyboardInterrupt

    with Session(settings) as session:
        first = session.run(good)
        with pytest.raises(KeyboardInterrupt):
            session.run(replace(good, output=tmp_path / "stopped"), stop)
        assert not list((tmp_path / "stopped").glob("good.*"))
        second = session.run(replace(good, output=tmp_path / "second"))
    assert opened == {"connect": 1, "model": 1, "ring": 2}
    np.testing.assert_array_equal(labels_of(first), labels_of(second))
    assert regions(triton_server) == []


def test_options_of_the_session_hold_for_all_runs(tmp_path: Path, triton_server: Any) -> None:
    settings = settings_of(tmp_path, triton_server)
    other = replace(case(tmp_path, settings, "one", voxels(1)), slots=3)
    with Session(settings) as session, pytest.raises(ConfigError, match="slots: found 3 for one run, expected None"):
        session.run(other)


def test_lanes_overlap_and_change_nothing(tmp_path: Path, triton_server: Any, opened: dict[str, int]) -> None:
    settings = settings_of(tmp_path, triton_server, statistics=True)
    cases = [case(tmp_path, settings, f"case{n}", voxels(n)) for n in range(9)]
    read_meanwhile, first, planned = threading.Event(), threading.Lock(), set[str]()

    def progress(name: str) -> Callable[[Progress], None]:
        def show(event: Progress) -> None:
            if event.stage == "infer" and first.acquire(blocking=False):
                assert read_meanwhile.wait(30), "nothing was read while the first case was inferred"
            if event.stage == "plan" and event.done == 1:
                planned.add(name)  # the first case has left the reader if another one is planned
                if len(planned) > 1:
                    read_meanwhile.set()

        return show

    with Session(settings) as session:

        def lane(one: Settings) -> Any:
            return session.run(one, progress(str(one.output_name)))

        with ThreadPoolExecutor(3) as pool:
            results = list(pool.map(lane, cases))
    assert opened == {"connect": 1, "model": 1, "ring": 1}
    for each, result in zip(cases, results, strict=True):
        alone = run(replace(each, output=tmp_path / "alone", logs=tmp_path / "alone"))
        np.testing.assert_array_equal(labels_of(result), labels_of(alone))
        assert result.data["labels"] == alone.data["labels"]
        assert result.data["input"]["sha256"] == alone.data["input"]["sha256"]
    assert read_meanwhile.is_set()


@pytest.fixture
def simulated() -> Iterator[Any]:
    with simulated_cupy() as module, pytest.MonkeyPatch.context() as patch:
        open_segments_as_cuda(patch)
        yield module


def test_the_device_allocates_nothing_for_a_shape_that_was_seen(
    tmp_path: Path, triton_server: Any, simulated: Any
) -> None:
    settings = settings_of(tmp_path, triton_server, device="gpu", require="cuda_shm", statistics=True)
    shapes = [SHAPE, (40, 30, 20), SHAPE, SHAPE, (40, 30, 20), SHAPE]
    cases = [case(tmp_path, settings, f"case{n}", voxels(n, shape)) for n, shape in enumerate(shapes)]
    with Session(settings) as session:
        results = [session.run(each) for each in cases]
    for number, (each, result) in enumerate(zip(cases, results, strict=True)):
        plain = run(replace(each, device="cpu", require=None, output=tmp_path / "cpu", logs=tmp_path / "cpu"))
        np.testing.assert_array_equal(labels_of(result), labels_of(plain))
        if number > 1:
            counted = result.data["gpu"]
            assert (counted["allocations"], counted["kernels_compiled"], counted["modules_loaded"]) == (0, 0, 0), number


def test_a_server_that_is_away_fails_the_case_alone(tmp_path: Path, triton_server: Any) -> None:
    settings = replace(settings_of(tmp_path, triton_server), triton_grpc="127.0.0.1:9", wait_s=0.3)
    one = case(tmp_path, settings, "one", voxels(1))
    with Session(settings) as session:
        for _ in range(2):
            with pytest.raises(ServerError):
                session.run(one)


def test_threads_and_segments_do_not_grow(tmp_path: Path, triton_server: Any) -> None:
    settings = settings_of(tmp_path, triton_server)
    one = case(tmp_path, settings, "one", voxels(1, (12, 12, 12)))
    with Session(settings) as session:
        session.run(one)
        session.run(one)
        before = threading.active_count()
        for _ in range(10):
            session.run(one)
        assert threading.active_count() == before
        assert len(regions(triton_server)) == 1


STATEFUL = """
from gpu_infer.transforms.base import Barrier, FieldsArguments

class BySpacing(Barrier):
    name = "BySpacing"

    class Args(FieldsArguments):
        pass

    def trace(self, field):
        self.spacing = float(field.spacing[2])

    def apply(self, array, field, backend):
        assert self.spacing == float(field.spacing[2]), "the spacing of another volume"
        return array
"""


def test_a_component_does_not_see_the_volume_of_another_lane(tmp_path: Path, triton_server: Any) -> None:
    """Planning one run calls hooks while another run is on the device."""
    content = config("classes5", roi_size=[16, 12, 10])
    content["pre_transforms"].append({"path": "stateful_of_test.BySpacing", "args": {"fields": ["image"]}})
    (tmp_path / "config").mkdir()
    (tmp_path / "config/stateful_of_test.py").write_text(STATEFUL)
    settings = settings_of(tmp_path, triton_server, content=content)
    cases = []
    for n in range(9):
        path = write_nifti(tmp_path / "cases" / f"{n}.nii", voxels(n), np.diag([0.9, 1.1, 1.0 + n / 10, 1.0]))
        folder = tmp_path / "out" / str(n)
        cases.append(replace(settings, input=path, output=folder, logs=folder))
    with Session(settings) as session, ThreadPoolExecutor(3) as pool:
        assert len(list(pool.map(session.run, cases))) == 9


def test_a_closed_session_is_refused(tmp_path: Path, triton_server: Any) -> None:
    settings = settings_of(tmp_path, triton_server)
    one = case(tmp_path, settings, "one", voxels(1, (12, 12, 12)))
    with Session(settings) as session:
        session.run(one)
    with pytest.raises(RuntimeError, match="the session is closed"):
        session.run(one)
