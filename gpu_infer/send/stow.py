"""STOW-RS: files over DICOMweb."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread

from gpu_infer.send.address import WebServer
from gpu_infer.send.outcome import Outcome
from gpu_infer.system.silence import silence
from gpu_infer.volume.formats.dicom.file import quiet

GROUP_BYTES = 32 << 20
"""Bytes of files in one request, unless a file is larger: a request is in memory three times."""

WAIT_S = 300.0
"""Seconds without a byte from the server after which a request has failed."""


def stow(files: Sequence[Path], server: WebServer, authorization: str | None) -> Outcome:
    """Send `files` in requests of at most `GROUP_BYTES`, and check what each answer says about every file.

    authorization  value of the header Authorization; None: none
    """
    from dicomweb_client import DICOMwebClient
    from requests import RequestException

    outcome = Outcome()
    client = DICOMwebClient(
        server.url, headers={"Authorization": authorization} if authorization else None, timeout=WAIT_S
    )
    client.set_http_retry_params(retry=False)
    for group in _groups(files):
        try:
            with quiet(), silence("dicomweb_client"):
                datasets = {file: dcmread(file) for file in group}
                answer = client.store_instances(list(datasets.values()))
        except RequestException as error:  # its text may quote headers
            outcome.refuse_rest(files, _reason(error))
            break
        _record(answer, {str(dataset.SOPInstanceUID): file for file, dataset in datasets.items()}, outcome)
    return outcome


def _reason(error: Any) -> str:
    response = error.response
    if response is None:
        return f"no answer ({type(error).__name__})"
    if response.status_code in (401, 403):
        return f"HTTP {response.status_code}: set GPU_INFER_DICOMWEB_AUTHORIZATION to what the server expects"
    return f"HTTP {response.status_code}"


def _record(answer: Any, by_uid: dict[str, Path], outcome: Outcome) -> None:
    """Enter what the answer to one request says; a file that it does not mention counts as refused."""
    stored = {str(item.ReferencedSOPInstanceUID): item for item in answer.get("ReferencedSOPSequence") or ()}
    failed = {str(item.ReferencedSOPInstanceUID): item for item in answer.get("FailedSOPSequence") or ()}
    for uid, file in by_uid.items():
        if uid in failed:
            outcome.refused.append((file, f"reason 0x{int(failed[uid].get('FailureReason', 0)):04X}"))
        elif uid in stored:
            outcome.stored.append(file)
            if warning := int(stored[uid].get("WarningReason", 0)):
                outcome.warned.append((file, f"reason 0x{warning:04X}"))
        else:
            outcome.refused.append((file, "the answer does not mention it"))


def _groups(files: Sequence[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    nbytes = 0
    for file in files:
        size = file.stat().st_size
        if group and nbytes + size > GROUP_BYTES:
            yield group
            group, nbytes = [], 0
        group.append(file)
        nbytes += size
    if group:
        yield group
