"""A DICOM study for tests: several series in folders, with an identity that can be searched for in outputs."""

from __future__ import annotations

import zipfile
from pathlib import Path

from dicom_series import dataset, write_series
from pydicom.dataset import Dataset

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"
STUDY_UID = "1.2.826.0.1.990.77001"
THIN_UID, MPR_UID, SCOUT_UID = f"{STUDY_UID}.2", f"{STUDY_UID}.3", f"{STUDY_UID}.1"

IDENTITY = {
    "PatientName": "Zyxmark^Quorra",
    "PatientID": "PIDMARK/47110815",
    "PatientBirthDate": "19630117",
    "PatientSex": "O",
    "AccessionNumber": "ACCMARK09",
    "ReferringPhysicianName": "Docmark^Who",
    "StudyDate": "20190223",
    "StudyDescription": "Studymark descr",
    "StudyInstanceUID": STUDY_UID,
}
MARKS = (
    *(
        "Zyxmark",
        "Quorra",
        "PIDMARK",
        "47110815",
        "19630117",
        "ACCMARK09",
        "Docmark",
        "20190223",
        "Studymark",
        "Seriesmark",
    ),
    STUDY_UID,
)
"""Parts of values that may appear in no output."""

THIN = range(24)
MPR = range(8)


def write_study(root: Path) -> Path:
    """Write four series of one patient: 1 localizer, 2 thin slices, 3 a reformat, 4 a colour picture; and a report."""
    series = dict(IDENTITY, FrameOfReferenceUID=f"{STUDY_UID}.9")
    parts = root / "st0"
    parts.mkdir(parents=True)
    for folder, uid, number, slices, kind in (
        ("se0", SCOUT_UID, 1, range(1), "LOCALIZER"),
        ("se1", THIN_UID, 2, THIN, "AXIAL"),
        ("se2", MPR_UID, 3, MPR, "MPR"),
    ):
        origin = "DERIVED" if kind == "MPR" else "ORIGINAL"
        write_series(
            parts / folder,
            slices,  # type: ignore[arg-type]
            series=uid,
            SeriesNumber=number,
            SeriesDescription=f"Seriesmark {folder}",
            ImageType=[origin, "PRIMARY", kind],
            **series,
        )
    capture = _document(SECONDARY_CAPTURE, f"{STUDY_UID}.4", 4, "OT")
    capture.Rows, capture.Columns, capture.SamplesPerPixel, capture.PlanarConfiguration = 2, 2, 3, 0
    capture.PhotometricInterpretation, capture.PixelRepresentation = "RGB", 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelData = bytes(12)
    (parts / "se3").mkdir()
    capture.save_as(parts / "se3" / "SC1", enforce_file_format=True)
    (parts / "se4").mkdir()
    _document(DOSE_REPORT, f"{STUDY_UID}.5", 5, "SR").save_as(parts / "se4" / "SR1", enforce_file_format=True)
    return root


def write_one_volume(root: Path) -> Path:
    """Write the study without its reformat, so that one volume remains."""
    write_study(root)
    for path in (root / "st0" / "se2").iterdir():
        path.unlink()
    return root


def write_other_patient(folder: Path) -> Path:
    """Write slices of another patient with the series UID of the thin slices."""
    return write_series(folder, range(5), series=THIN_UID, **dict(IDENTITY, PatientID="OTHERPID", SeriesNumber=2))


def zip_folder(folder: Path, archive: Path) -> Path:
    """Pack the files of `folder` and below, without the name of the folder."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                out.write(path, path.relative_to(folder))
    return archive


def _document(sop_class: str, series: str, number: int, modality: str) -> Dataset:
    ds = dataset(sop_class, series)
    ds.SeriesNumber, ds.Modality, ds.SeriesDescription = number, modality, "Seriesmark document"
    for word, value in IDENTITY.items():
        setattr(ds, word, value)
    return ds
