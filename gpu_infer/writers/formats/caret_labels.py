"""Names of labels for the extension of a NIfTI header: the XML of Caret, as TotalSegmentator writes and reads it."""

from __future__ import annotations

from collections.abc import Iterable

from gpu_infer.label_table.table import BACKGROUND, Label

CODE = 0
"""Of the extension. NIFTI_ECODE_CARET would be 30, but nibabel shows no content of such extensions."""

_HEADER_BYTES = 8
_MULTIPLE = 16
"""An extension has a multiple of 16 bytes, its size and code included."""


def caret_labels(labels: Iterable[Label]) -> bytes:
    """The XML for `labels`, with blanks at the end up to the size of an extension: parsers do not expect NUL."""
    import xml.etree.ElementTree as ET

    root = ET.Element("CaretExtension")
    volume = ET.SubElement(root, "VolumeInformation", Index="0")
    table = ET.SubElement(volume, "LabelTable")
    for label in labels:
        red, green, blue = (f"{channel / 255:.6f}" for channel in label.colour)
        alpha = str(int(label.value != BACKGROUND))
        ET.SubElement(
            table, "Label", Key=str(label.value), Red=red, Green=green, Blue=blue, Alpha=alpha
        ).text = label.name
    ET.SubElement(volume, "StudyMetaDataLinkSet")
    ET.SubElement(volume, "VolumeType").text = "Label"
    text: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text + b" " * (-(len(text) + _HEADER_BYTES) % _MULTIPLE)
