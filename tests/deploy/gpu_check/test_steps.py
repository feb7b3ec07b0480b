"""Steps of the GPU check: their order, what they bring along, and that a part fits one call."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.gpu_check.steps import CALL_S, INSTALL_S, PARTS, STEPS, choose

PAGE = Path(__file__).resolve().parents[3] / "docs" / "deploy.md"


def test_chosen_steps_bring_what_they_need() -> None:
    assert choose().names == list(STEPS)
    assert choose().requested == frozenset(STEPS)
    assert choose("bench.transports").names == ["memory", "packages", "triton", "bench.transports"]
    assert choose("tests").names == ["memory", "packages", "device", "triton", "tests"]
    named = choose("bench.files, job")
    assert named.names == ["memory", "packages", "device", "triton", "job", "bench.files"]
    assert named.requested == {"job", "bench.files"}
    with pytest.raises(ValueError, match=r"no step benches; the steps are memory, packages"):
        choose("benches")
    with pytest.raises(ValueError, match=r"no step ' '; the steps are"):
        choose(" ")


def test_a_part_brings_what_it_needs() -> None:
    assert choose(part=1).names == ["memory", "packages", "device", "triton", "job", "bench.kernels"]
    second = choose(part=2)
    assert second.names == ["memory", "packages", "device", "triton", "tests", "bench.volume", "bench.transports"]
    assert second.requested == {"tests", "bench.volume", "bench.transports"}
    with pytest.raises(ValueError, match="--part and --steps exclude each other"):
        choose("tests", 1)


def test_every_step_is_in_one_part_and_a_part_fits_one_call() -> None:
    assert [name for part in PARTS.values() for name in part] == list(STEPS)
    for names in PARTS.values():
        assert sum(STEPS[name].limit_s for name in names) <= CALL_S - INSTALL_S
    assert all(step.expected_s <= step.limit_s for step in STEPS.values())


def test_what_only_a_card_can_show_comes_before_the_tests() -> None:
    order = [name for name in STEPS if name in ("device", "triton", "job", "bench.kernels", "tests")]
    assert order == ["device", "triton", "job", "bench.kernels", "tests"]


def test_the_page_has_every_step_with_its_part_and_seconds() -> None:
    rows = [line.split("|")[1:5] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    listed = {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows if len(cells) == 4}
    for name, step in STEPS.items():
        assert listed[name] == [f"{step.part}", f"{step.expected_s:.0f} s", f"{step.limit_s:.0f} s"]
