"""The peers' tests: collected only if the peers are installed (`make peers`), with a record of the comparisons.

Every test records what it compares, and the largest difference, through the fixture `equivalence`. The record goes to
build/equivalence.json, from which `python -m bench.equivalence` writes docs/equivalence.md.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

RECORD = Path(__file__).parents[2] / "build" / "equivalence.json"
PEERS = ("monai", "torch", "torchio", "nnunetv2", "scipy", "scikit-image", "numpy")

if any(find_spec(name) is None for name in ("monai", "torchio", "nnunetv2")):
    collect_ignore_glob = ["test_*.py"]
else:
    with warnings.catch_warnings():  # warnings of their imports
        warnings.simplefilter("ignore")
        for name in ("monai.inferers", "monai.transforms", "torchio"):
            import_module(name)

_entries: dict[str, dict[str, Any]] = {}


class Equivalence:
    """Collects one entry per peer function; calls for the same one add up."""

    def record(
        self, peer: str, ours: str, *, tolerance: str, worst: float | None = None, cases: int = 1, differs: str = ""
    ) -> None:
        """peer, ours  functions as a user writes them
        tolerance   the test's tolerance, in words
        worst       the largest difference seen, in the units of the tolerance
        differs     intended differences
        """
        entry = _entries.setdefault(peer, {"ours": ours, "tolerance": tolerance, "cases": 0, "worst": None})
        entry["cases"] += cases
        if worst is not None:
            entry["worst"] = max(float(worst), entry["worst"] or 0.0)
        if differs:
            entry["differs"] = differs


@pytest.fixture
def equivalence() -> Equivalence:
    return Equivalence()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Peers warn of their own deprecations; our warnings stay errors.
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error:::gpu_infer"), append=False)
            item.add_marker(pytest.mark.filterwarnings("default"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[Any]:
    report = yield
    if report.when == "call" and report.passed and item.path.name == "test_monai_sliding_window.py":
        for name, value in report.user_properties:
            if name == "worst difference":
                Equivalence().record(
                    "monai.inferers.sliding_window_inference",
                    "gpu_infer.sliding_window_inference",
                    tolerance="1e-5 on values up to 60",
                    worst=value,
                    cases=50,
                    differs="Gradients are refused. Sums are float32; windows reach the predictor in the same batches.",
                )
    return report


def pytest_sessionfinish(exitstatus: int) -> None:
    if not _entries or exitstatus != 0:
        return
    versions = {name: metadata.version(name) for name in PEERS}
    earlier = json.loads(RECORD.read_text(encoding="utf-8"))["entries"] if RECORD.is_file() else {}
    RECORD.parent.mkdir(exist_ok=True)
    content = {"versions": versions, "entries": earlier | _entries}
    RECORD.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
