"""What all DICOM outputs of a run have in common: the program, the model, the series, and gpu_infer's mark."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, generate_uid

from gpu_infer._version import __version__
from gpu_infer.volume.formats.dicom.file import quiet
from gpu_infer.writers.dicom.source import Source

IMPLEMENTATION = UID("2.25.208408494613580959745951882160361953776")
"""ImplementationClassUID of the files."""

MARK = "GPU_INFER"
"""Begin of ImplementationVersionName in the head of the files, by which older outputs are recognised."""

MANUFACTURER = "gpu_infer"

_LONG_STRING = 64
_SHORT_STRING = 16


@dataclass(frozen=True)
class Algorithm:
    """The model that made the labels.

    name, version  of the model on the server
    """

    name: str
    version: str

    def describe(self, content: str) -> str:
        """SeriesDescription of an output."""
        return _fit(f"{self.name} {content}")

    def identification(self) -> Any:
        """The item of AlgorithmIdentificationSequence."""
        from highdicom import AlgorithmIdentificationSequence
        from pydicom.sr.codedict import codes

        return AlgorithmIdentificationSequence(
            name=_fit(self.name),
            family=codes.DCM.ArtificialIntelligence,
            version=_fit(self.version or "1"),
            source=f"{MANUFACTURER} {__version__}",
        )


def equipment() -> dict[str, str]:
    """Manufacturer, model, version and serial number, as highdicom takes them."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": __version__,
        "device_serial_number": "0",
    }


def new_uid() -> UID:
    """A UID that no other file has: an archive takes a file with a known UID for a copy."""
    return generate_uid(prefix=None)


def save(dataset: Dataset, source: Source, path: Path) -> None:
    """Write `dataset`, which changes, with patient and study of the source, and with the mark of gpu_infer."""
    source.identify(dataset)
    meta: FileMetaDataset = dataset.file_meta
    meta.ImplementationClassUID = IMPLEMENTATION
    meta.ImplementationVersionName = f"{MARK} {__version__}"[:_SHORT_STRING]
    if "PixelData" in dataset:  # pydicom copies bytes twice, and a buffer not at all
        dataset["PixelData"].value = BytesIO(dataset.PixelData)
    with quiet():
        dataset.save_as(path, enforce_file_format=True)


def is_output(path: Path) -> bool:
    """Whether `path` is a DICOM file with the mark of gpu_infer."""
    try:
        with quiet():
            meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
    except OSError:
        raise
    except Exception:  # InvalidDicomError, and many types for damaged bytes
        return False
    return str(meta.get("ImplementationVersionName", "")).startswith(MARK)


def _fit(text: str) -> str:
    """`text` as one value of VR LO, which has at most 64 characters and no backslash."""
    return text.replace("\\", "/")[:_LONG_STRING]
