"""Volumes in millilitres as they are written."""

from __future__ import annotations


def rounded_ml(ml: float) -> float:
    """`ml` with three decimals from 1 ml on, else with six significant digits, so that no label has a volume of 0."""
    return round(ml, 3) if ml >= 1 else float(f"{ml:.6g}")
