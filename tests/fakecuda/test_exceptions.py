"""Every entry of the list of exceptions names an existing test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fakecuda.exceptions import EXCEPTIONS, expect_failures

pytestmark = pytest.mark.gpu

FILE = "tests/triton/shm/test_cuda_regions.py"


class Item(SimpleNamespace):
    """A collected test with the marker gpu, or without."""

    def __init__(self, nodeid: str, *, on_device: bool = True) -> None:
        super().__init__(nodeid=nodeid, marks=[])
        self._on_device = on_device

    def get_closest_marker(self, name: str) -> Any:
        return name if self._on_device else None

    def add_marker(self, mark: Any) -> None:
        self.marks.append(mark)


def all_of(file: str) -> list[Any]:
    return [Item(name) for name in EXCEPTIONS if name.startswith(file)]


def test_each_case_on_the_device_has_to_fail() -> None:
    name = f"{FILE}::test_a_name_is_registered_once"
    items: list[Any] = [*all_of(FILE), Item(f"{name}[grpc-device]"), Item(f"{name}[grpc-simulated]", on_device=False)]
    expect_failures(items, [FILE])
    mark = items[-2].marks[0]
    assert (mark.name, mark.kwargs) == ("xfail", {"reason": EXCEPTIONS[name], "strict": True})
    assert items[-1].marks == []


def test_an_exception_that_is_gone_is_an_error() -> None:
    items: list[Any] = [*all_of(FILE)[1:], Item("tests/other.py::test_one")]
    with pytest.raises(
        pytest.UsageError, match=r"names tests that do not exist: .*::test_a_handle_of_nothing_is_refused"
    ):
        expect_failures(items, ["tests"])
    expect_failures(items, [f"{FILE}::test_a_name_is_registered_once"])
