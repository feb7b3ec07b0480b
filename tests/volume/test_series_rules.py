"""Rules that choose a series: their syntax, and what each operator compares."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpu_infer.errors import ConfigError
from gpu_infer.volume.series_rules import (
    Condition,
    RuleError,
    fits,
    number,
    parse_rule,
    parse_selector,
    series_of_option,
)

KEYS = ("Modality", "ImageType", "SeriesDescription", "SliceThickness", "PatientID")
TEXTS = st.text(st.characters(codec="ascii", exclude_characters='",', exclude_categories=("C",)), min_size=1).filter(
    lambda text: bool(text.strip())
)


@dataclass
class Facts:
    slices: int = 120
    spacing: float | None = 1.5
    elements: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def values(self, keyword: str) -> tuple[str, ...]:
        return self.elements.get(keyword, ())


CT = Facts(
    elements={
        "Modality": ("CT",),
        "ImageType": ("ORIGINAL", "PRIMARY", "AXIAL"),
        "SeriesDescription": ("Thorax, lung 1.5",),
        "SliceThickness": ("2.50",),
        "PatientID": ("007",),
        "PixelSpacing": ("0.7", "0.9"),
    }
)


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        ("Modality=CT", True),
        (" Modality = ct ", True),
        ("Modality!=CT", False),
        ("Modality~C", True),
        ("ImageType=AXIAL", True),
        ("ImageType=ORIGINAL\\PRIMARY", False),
        ("ImageType~original\\primary", True),
        ("ImageType!=LOCALIZER", True),
        ("ImageType!=AXIAL", False),
        ('SeriesDescription="thorax, LUNG 1.5"', True),
        ('SeriesDescription~"x, l", slices>100', True),
        ("SeriesDescription~.*", False),
        ("SliceThickness=2.5", True),
        ("SliceThickness>=2.5", True),
        ("SliceThickness>2.5", False),
        ("SliceThickness<1e1", True),
        ("PatientID=7", False),
        ("PatientID=007", True),
        ("PixelSpacing<0.8", False),
        ("PixelSpacing<1", True),
        ("slices=120", True),
        ("slices!=120.0", False),
        ("spacing=1.5,slices<121", True),
        ("EchoTime=1", False),
        ("EchoTime!=1", True),
        ("EchoTime~1", False),
        ("EchoTime<1", False),
        ("SeriesDescription>1", False),
    ],
)
def test_operators(rule: str, result: bool) -> None:
    assert fits(parse_rule(rule).conditions, CT) is result


def test_a_series_that_is_no_volume_has_no_spacing() -> None:
    assert not fits(parse_rule("spacing<9").conditions, Facts(spacing=None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found '', expected conditions such as Modality=CT"),
        ("CT", "found 'CT', expected a condition such as Modality=CT or slices>20"),
        ("Modality=CT,", "found '', expected a condition"),
        ("Modality=", "found Modality= without a value"),
        ('Modality=""', "found Modality= without a value"),
        ("Modality==CT,,", "found ',', expected a condition|found '', expected a condition"),
        ('SeriesDescription="a" b', "expected a condition"),
        ("slices>many", "found slices>many, expected a number after >"),
        ("slices~2", "found slices~2, expected a number, as in slices>20"),
        ("Modalty=CT", r"Modalty is no keyword of DICOM \(did you mean Modality"),
        ("=CT", "is no keyword of DICOM"),
        ("ReferencedImageSequence=1", "ReferencedImageSequence is a sequence or bytes"),
        ("PixelData=1", "PixelData is a sequence or bytes"),
        ("x" * 1001, "expected conditions such as"),
        ("slices>nan", "expected a number after >"),
    ],
)
def test_rules_that_cannot_be_meant(text: str, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        parse_rule(text)


def test_a_number_a_uid_and_a_rule() -> None:
    assert parse_selector(" 12 ").number == 12
    assert parse_selector("1.2.840.99").uid == "1.2.840.99"
    assert parse_selector("slices>2").conditions == (Condition("slices", ">", "2"),)
    with pytest.raises(ConfigError) as caught:
        series_of_option("0")
    assert str(caught.value) == (
        "--series: found '0', expected a condition such as Modality=CT or slices>20 (give a number of the list of "
        "gpu-infer series, a UID or a rule)"
    )


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(["=", "!=", "~"]), TEXTS), min_size=1, max_size=5))
def test_written_conditions_are_read_back(conditions: list[tuple[str, str, str]]) -> None:
    rule = ", ".join(f'{key}{operator}"{value}"' for key, operator, value in conditions)
    assert parse_rule(rule).conditions == tuple(Condition(*condition) for condition in conditions)


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_in_one_line(text: str) -> None:
    try:
        selector = parse_selector(text)
    except RuleError as error:
        assert "expected" in str(error)
    else:
        assert selector.number or selector.uid or selector.conditions


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_numbers_compare_as_python_compares_them(value: float, limit: float) -> None:
    series = Facts(elements={"SliceThickness": (repr(value),)})

    def holds(operator: str) -> bool:
        return fits(parse_rule(f"SliceThickness{operator}{limit!r}").conditions, series)

    assert [holds(o) for o in ("=", "!=", "<", "<=", ">", ">=")] == [
        *(value == limit, value != limit, value < limit),
        *(value <= limit, value > limit, value >= limit),
    ]


@given(TEXTS, TEXTS)
def test_equal_and_not_equal_are_opposites(value: str, wanted: str) -> None:
    series = Facts(elements={"SeriesDescription": (value,)})
    equal, different = (fits((Condition("SeriesDescription", o, wanted),), series) for o in ("=", "!="))
    assert equal is not different
    assert equal is (value.strip().casefold() == wanted.strip().casefold())


@pytest.mark.parametrize("text", ["", "1_0", "nan", "inf", "1e999", "٣", "0x1", "1,5"])
def test_no_numbers(text: str) -> None:
    assert number(text) is None
