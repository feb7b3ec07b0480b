"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from fakecuda.exceptions import expect_failures
from fakecuda.libraries import modules as filter_modules
from fakecuda.places import is_fake
from hypothesis import HealthCheck, settings
from real_device import why_no_device, why_no_triton

from gpu_infer.triton.local.serve import LocalServer
from gpu_infer.triton.shm.naming import SHM_FOLDER, owner_pid

TESTS = Path(__file__).parent
TEST_MODELS = TESTS / "models"
MODELS_OF_RESTARTS = ("threshold_half", "slow")

# Before OpenMP is loaded: threads that spin while they wait take the processors from other tests and from Triton.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# `nohup make test &` ignores these signals, and the processes that tests start would inherit that.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

# What runs in one worker of pytest-xdist: tests that look at every segment, guard or region that there is, or share
# the session's Triton; and what may run in any worker test by test, because no fixture is shared in its file.
_TOGETHER = ("e2e", "triton")
_TOGETHER_BY_FIXTURE = {"triton_server", "fresh_triton", "no_leftovers"}
_APART = ("nvrtc",)

settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, max_examples=100)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say what has to stay in one worker under `-n N --dist loadgroup`; a file does, where nothing else is said."""
    if is_fake():
        expect_failures(items, config.args)
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in _TOGETHER or _TOGETHER_BY_FIXTURE & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("triton"))
        elif folder not in _APART:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(TESTS))))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what UTF-8 cannot encode in captured output: a worker of pytest-xdist could not send it, and would end.

    Tests of names that are not UTF-8 log such names.
    """
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test of the device where there is none, before its fixtures (a Triton among them) are made."""
    if item.get_closest_marker("gpu") is None:
        return
    reason = why_no_device()
    if reason is None and {"triton_server", "fresh_triton"} & set(getattr(item, "fixturenames", ())):
        reason = why_no_triton()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(autouse=True)
def filters_of_the_fake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the fake driver, filters of libraries run on the host: only our kernels have a host build."""
    if is_fake() and request.node.get_closest_marker("gpu") is not None:
        for name, module in filter_modules().items():
            monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture(autouse=True)
def no_modules_of_tests() -> Iterator[None]:
    """Forget modules that a test imported from a folder of its own: later tests would get them by the same name."""
    modules, folders = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = folders
    for name in sys.modules.keys() - modules:
        places = getattr(sys.modules[name], "__path__", None) or [getattr(sys.modules[name], "__file__", None)]
        if any("pytest-of-" in str(place) for place in places):
            del sys.modules[name]


@pytest.fixture(scope="session")
def triton_server() -> Iterator[LocalServer]:
    """A real Triton over tests/models for the whole session; leave it running. Installed on first use."""
    with LocalServer(TEST_MODELS) as server:
        yield server


@pytest.fixture
def fresh_triton(tmp_path: Path) -> Iterator[LocalServer]:
    """A real Triton of its own with MODELS_OF_RESTARTS alone, for tests that kill or restart it."""
    for name in MODELS_OF_RESTARTS:
        shutil.copytree(TEST_MODELS / name, tmp_path / "models" / name, ignore=shutil.ignore_patterns("__pycache__"))
    with LocalServer(tmp_path / "models") as server:
        yield server


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fails the test when a segment of this process, or of a child that has ended, is left behind.

    Segments of other living processes, such as a second test run on this machine, are none of its business.
    """
    before = set(_segments())
    yield
    left = [name for name in _segments() if name not in before and _is_ours(owner_pid(name))]
    assert not left, f"left in {SHM_FOLDER}: {left}"


def _segments() -> list[str]:
    return sorted(path.name for path in SHM_FOLDER.glob("gpu_infer-*"))


def _is_ours(pid: int | None) -> bool:
    return pid is None or pid == os.getpid() or not Path(f"/proc/{pid}").exists()


@pytest.fixture(autouse=True)
def _closed_log_files() -> Iterator[None]:
    """Close the handlers that a test adds: their files would warn when they are collected, in another test."""
    loggers = [logging.getLogger(name) for name in ("", "gpu_infer")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    yield
    for logger, (handlers, level) in zip(loggers, before, strict=True):
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:] = handlers
        logger.setLevel(level)
