"""Imports of a command: no collections meanwhile, and no module that no command uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMMAND = "from gpu_infer.system.preload import begin_command, preload\nbegin_command()\n"
LIBRARY = "from gpu_infer.system.preload import preload\n"


def _output(code: str) -> str:
    """What a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", "import gc, sys\n" + code], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_command_collects_nothing_while_it_imports() -> None:
    counts = _output(
        COMMAND
        + "seen = []\n"
        + "gc.callbacks.append(lambda phase, info: seen.append(phase))\n"
        + "preload('numpy')\n"
        + "print(len(seen), gc.isenabled(), gc.get_freeze_count() > 1000)"
    )
    assert counts == "0 True True"


def test_objects_after_an_import_are_collected() -> None:
    assert _output(
        COMMAND
        + "preload('numpy')\nimport weakref\n"
        + "class Node: pass\nnode = Node(); node.itself = node; alive = weakref.ref(node); del node\n"
        + "gc.collect()\nprint(alive() is None)"
    ) == ("True")


def test_a_second_import_freezes_nothing() -> None:
    """A session imports the backend again for each of its runs."""
    assert _output(
        COMMAND
        + "preload('numpy')\nbefore = gc.get_freeze_count()\nkept = [[] for _ in range(1000)]\n"
        + "preload('numpy')\nprint(gc.get_freeze_count() - before < 500)"
    ) == ("True")


def test_the_collector_of_another_program_is_left_alone() -> None:
    assert _output(LIBRARY + "preload('numpy')\nprint(gc.get_freeze_count(), gc.isenabled())") == "0 True"


def test_a_command_whose_collector_is_off_stays_so() -> None:
    assert _output(COMMAND + "gc.disable()\npreload('numpy')\nprint(gc.isenabled(), gc.get_freeze_count())") == (
        "False 0"
    )


def test_a_failed_import_leaves_everything_as_before() -> None:
    assert _output(
        COMMAND
        + "try:\n    preload('no_such_module', without=['pydicom'])\nexcept ModuleNotFoundError as error:\n"
        + "    print(error.name, gc.isenabled(), 'pydicom' in sys.modules)"
    ) == ("no_such_module True False")


def test_nibabel_of_a_command_does_without_pydicom() -> None:
    seen = "import nibabel\nprint(nibabel.nifti1.have_dicom, 'pydicom' in sys.modules, end=' ')\n"
    usable = "import pydicom\nprint(pydicom.Dataset().get('PatientName'))"
    assert _output(COMMAND + "preload('nibabel', without=['pydicom'])\n" + seen + usable) == "False False None"
    assert _output(LIBRARY + "preload('nibabel', without=['pydicom'])\n" + seen + usable) == "True True None"


def test_an_imported_module_is_not_hidden() -> None:
    code = "import pydicom\npreload('nibabel', without=['pydicom'])\nimport nibabel\nprint(nibabel.nifti1.have_dicom)"
    assert _output(COMMAND + code) == "True"


def test_other_threads_find_every_module(tmp_path: Path) -> None:
    (tmp_path / "other.py").touch()
    (tmp_path / "importer.py").write_text(
        "import threading\nfound = []\n"
        "def attempt():\n    try:\n        import other\n    except ModuleNotFoundError:\n        found.append(False)\n"
        "    else:\n        found.append(True)\n"
        "attempt()\nthread = threading.Thread(target=attempt)\nthread.start()\nthread.join()\n",
        encoding="utf-8",
    )
    code = f"sys.path.insert(0, {str(tmp_path)!r})\npreload('importer', without=['other'])\nimport importer\n"
    assert _output(COMMAND + code + "print(importer.found)") == "[False, True]"


def test_a_search_that_has_begun_meets_every_finder(tmp_path: Path) -> None:
    """That of another thread may go on after the import."""
    (tmp_path / "searcher.py").write_text(
        "import sys\nsearch = iter(sys.meta_path)\nfor _ in sys.meta_path[:-1]:\n    next(search)\n", encoding="utf-8"
    )
    code = f"sys.path.insert(0, {str(tmp_path)!r})\npreload('searcher', without=['other'])\nimport searcher\n"
    assert _output(COMMAND + code + "print(next(searcher.search) is sys.meta_path[-1])") == "True"
