"""The fields of a NIfTI header that place its voxels in space, as the file has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FIELDS = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
_SPACE_UNITS = 7
"""Bits of xyzt_units that have the unit of length."""


@dataclass(frozen=True, eq=False)
class NiftiGrid:
    """Position, directions, spacing and unit of a NIfTI volume.

    version  1 or 2
    fields   values of `FIELDS`
    pixdim   the first four: the handedness of the quaternion and the spacing of the three axes
    units    code of the unit of length, 0: unknown
    """

    version: int
    fields: dict[str, Any]
    pixdim: tuple[float, float, float, float]
    units: int

    @classmethod
    def of_header(cls, header: Any, version: int) -> NiftiGrid:
        """Take the fields from a header of nibabel."""
        fields = {name: header[name].copy() for name in FIELDS}
        pixdim = tuple(header["pixdim"][:4].tolist())
        return cls(version, fields, pixdim, int(header["xyzt_units"]) & _SPACE_UNITS)

    def write_to(self, header: Any) -> None:
        """Set the fields of a header of nibabel, of the same version, bit by bit."""
        for name, value in self.fields.items():
            header[name] = value
        header["pixdim"][:4] = self.pixdim
        header["xyzt_units"] = self.units
