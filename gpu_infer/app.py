"""The operator: one volume in, one segmentation out."""

from __future__ import annotations

from gpu_infer.progress import ProgressCallback
from gpu_infer.session.result import RunResult as RunResult
from gpu_infer.session.session import Session
from gpu_infer.settings import Settings

__all__ = ["RunResult", "run"]


def run(settings: Settings, progress: ProgressCallback | None = None) -> RunResult:
    """Run the operator once: read a volume, segment it, write the label maps.

    Writes `<name>.mhd` and `<name>.raw`, or other formats, into the output folder (`<name>.<field>.*` for several
    fields), files for the publish folder if one is set, and report.json into the logs folder (also if the run fails).
    A failed run leaves no half-written file. For many volumes, see `gpu_infer.session.session.Session`.

    Args:
        settings: Options of the run; see `Settings.from_environment`.
        progress: Receives an event at the begin and end of every stage, and after every batch of windows. Runs in
            this thread; an exception from it ends the run.

    Returns:
        The files, and the content of report.json (docs/report.md).

    Raises:
        GpuInferError: With an exit code and a message of one line that says what to do.
    """
    with Session(settings, lasting=False) as session:
        return session.run(progress=progress)
