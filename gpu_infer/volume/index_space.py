"""Index space: the slices of an irregular DICOM series, stacked as if they were a regular grid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class IndexSpace:
    """Why the slices of a series are no regular grid, and the places that they have in the patient.

    reason     one line, without values that identify the patient
    positions  of the first voxel of each slice, k = 0 first, in LPS+ mm
    """

    reason: str
    positions: tuple[tuple[float, ...], ...]
