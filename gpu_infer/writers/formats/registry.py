"""The formats by name."""

from __future__ import annotations

from gpu_infer.choices import Format
from gpu_infer.writers.formats.base import LabelFormat
from gpu_infer.writers.formats.mha import Mha
from gpu_infer.writers.formats.mhd import Mhd
from gpu_infer.writers.formats.nifti import Nifti, NiftiGz
from gpu_infer.writers.formats.nrrd import Nrrd
from gpu_infer.writers.formats.seg_nrrd import SegNrrd

FORMATS: dict[Format, LabelFormat] = {each.name: each for each in (Mhd(), Mha(), NiftiGz(), Nifti(), Nrrd(), SegNrrd())}
"""In the order of the documentation."""
