"""What the header of a DICOM input says about patient, study and series."""

from __future__ import annotations

from gpu_infer.volume.header import VolumeHeader


def identity(header: VolumeHeader) -> dict[str, str]:
    """Values by keyword of DICOM in the first slice, those that it has; several values are joined by a backslash.

    They identify the patient. Raises `InputError` for a damaged header.
    """
    from gpu_infer.volume.formats.dicom.texts import IDENTITY, read_texts

    return {word: "\\".join(texts) for word, texts in read_texts(header.files[0], IDENTITY).items() if texts}
