"""C-STORE: files over the DICOM network protocol."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread

from gpu_infer.send.address import Entity
from gpu_infer.send.outcome import Outcome
from gpu_infer.system.silence import silence
from gpu_infer.volume.formats.dicom.file import quiet

CALLING_TITLE = "GPU_INFER"
"""AE title of this program, which some archives have to know."""

WAIT_S = 60.0
"""Seconds for the connection, and for each answer."""


def store(files: Sequence[Path], entity: Entity) -> Outcome:
    """Send `files` in one association, in the transfer syntax that each has, and check every status."""
    with quiet(), silence("pynetdicom"):
        return _store(files, entity)


def _store(files: Sequence[Path], entity: Entity) -> Outcome:
    from pynetdicom import AE, evt
    from pynetdicom.pdu import A_ASSOCIATE_RJ
    from pynetdicom.presentation import build_context

    outcome = Outcome()
    try:  # before pynetdicom, which hides the reason and does not close the socket
        socket.create_connection((entity.host, entity.port), timeout=WAIT_S).close()
    except OSError as error:
        outcome.refuse_rest(files, f"no connection: {error.strerror or error}")
        return outcome
    ae = AE(ae_title=CALLING_TITLE)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = WAIT_S
    kinds = {file: _kind(file) for file in files}
    contexts = [build_context(*kind) for kind in dict.fromkeys(kinds.values())]
    received: list[Any] = []  # pynetdicom's `is_rejected` is not set if the archive closes the connection at once
    association = ae.associate(
        entity.host,
        entity.port,
        contexts=contexts,
        ae_title=entity.title,
        evt_handlers=[(evt.EVT_PDU_RECV, lambda event: received.append(type(event.pdu)))],
    )
    if not association.is_established:
        if (connection := association.dul.socket) is not None and connection.socket is not None:
            connection.socket.close()  # pynetdicom leaves it open
        if association.is_rejected or A_ASSOCIATE_RJ in received:
            reason = "the archive rejects the association: check both AE titles"
        else:
            reason = "no association: the server there does not answer as an archive"
        outcome.refuse_rest(files, reason)
        return outcome
    try:
        pairs = {(c.abstract_syntax, c.transfer_syntax[0]) for c in association.accepted_contexts}
        for file, kind in kinds.items():
            if kind not in pairs:
                outcome.refused.append((file, "the archive does not take this class in this transfer syntax"))
            elif not association.is_established:
                outcome.refused.append((file, "the association ended"))
            else:
                _store_one(file, association, outcome)
    finally:
        if association.is_established:
            association.release()
    return outcome


def _store_one(file: Path, association: Any, outcome: Outcome) -> None:
    try:
        status = association.send_c_store(file)
    except (RuntimeError, ValueError) as error:  # the association ended, or the file cannot be encoded
        outcome.refused.append((file, f"not sent ({type(error).__name__})"))
        return
    code = status.Status if "Status" in status else None
    if code is None:
        outcome.refused.append((file, f"no answer within {WAIT_S:.0f} s, or the association ended"))
    elif code == 0:
        outcome.stored.append(file)
    elif code >> 12 == 0xB:
        outcome.stored.append(file)
        outcome.warned.append((file, f"status 0x{code:04X}"))
    else:
        outcome.refused.append((file, f"status 0x{code:04X}"))


def _kind(file: Path) -> tuple[str, str]:
    """Class and transfer syntax of a file."""
    meta = dcmread(file, specific_tags=[], stop_before_pixels=True).file_meta
    return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
