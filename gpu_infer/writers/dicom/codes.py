"""What the labels are, as coded concepts of DICOM."""

from __future__ import annotations

from typing import Any

from gpu_infer.label_table.table import Code, Label

TISSUE = Code("85756007", "SCT", "Tissue")
"""Category of labels that have none."""

PRIVATE_SCHEME = "99GPU_INFER"
"""Coding scheme of labels without a code: the standard gives designators that begin with 99 to private schemes."""


def category_of(label: Label) -> Code:
    """The category of the label, or the most general one."""
    return label.category or TISSUE


def type_of(label: Label) -> Code:
    """The type of the label, or a private code with its number and its name."""
    return label.type or Code(f"LABEL_{label.value}", PRIVATE_SCHEME, label.name)


def concept(code: Code) -> Any:
    """The code as highdicom takes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)
