"""The backend folder of the local Triton: its Python backend, and the packaged ones that are written in Python.

Triton serves a model with `backend: "onnxruntime"` by backends/onnxruntime/model.py if there is no library for it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from pathlib import Path

from gpu_infer.system.resources import resource_folder
from gpu_infer.triton.local.runtime import Runtime

log = logging.getLogger(__name__)


def backend_folder(runtime: Runtime) -> Path:
    """The folder for --backend-directory; it is made in the environment's folder once for each content.

    If that cannot be written, this is the wheel's folder, which has the Python backend alone.
    """
    sources = sorted(resource_folder("backends").glob("*/model.py"))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.parent.name.encode() + b"\0" + path.read_bytes() + b"\0")
    folder = runtime.folder / f"backends-{digest.hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    try:
        partial = Path(tempfile.mkdtemp(prefix="backends-part-", dir=runtime.folder))
        partial.chmod(0o755)
        (partial / "python").symlink_to(os.path.relpath(runtime.backends / "python", runtime.folder / folder.name))
        for path in sources:
            (partial / path.parent.name).mkdir()
            shutil.copyfile(path, partial / path.parent.name / path.name)
        try:
            partial.rename(folder)
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            if not folder.is_dir():  # unless another process made it in the meantime
                raise
    except OSError as error:
        log.warning("%s cannot be written: the local Triton has no backend for ONNX files (%s)", runtime.folder, error)
        return runtime.backends
    return folder
