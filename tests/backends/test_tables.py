from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpu_infer.backends.tables import ClampedAffine

_number = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda v: 0.0 if abs(v) < 1e-3 else v)


@st.composite
def _functions(draw: st.DrawFn) -> ClampedAffine:
    low = draw(st.one_of(st.just(-math.inf), _number))
    high = draw(st.one_of(st.just(math.inf), _number))
    return ClampedAffine(draw(_number), draw(_number), min(low, high), max(low, high), draw(_number))


def _apply(function: ClampedAffine, x: float) -> float:
    y = function.scale * (x - function.centre) + function.shift
    return min(max(y, function.low), function.high)


@given(first=_functions(), second=_functions(), x=_number)
@example(ClampedAffine(), ClampedAffine(0.0, 3.0), 5.0)
@example(ClampedAffine(2.0, 0.0, -math.inf, 1.0), ClampedAffine(-1.0, 0.0, 0.0, math.inf), -4.0)
def test_then_is_one_after_the_other(first: ClampedAffine, second: ClampedAffine, x: float) -> None:
    folded = first.then(second)
    assert _apply(folded, x) == pytest.approx(_apply(second, _apply(first, x)), rel=1e-9, abs=1e-6)
    assert folded.low <= folded.high
    assert not any(math.isnan(v) for v in (folded.scale, folded.shift, folded.low, folded.high))


@given(a=_functions(), b=_functions(), c=_functions(), x=_number)
def test_folding_is_associative(a: ClampedAffine, b: ClampedAffine, c: ClampedAffine, x: float) -> None:
    left, right = a.then(b).then(c), a.then(b.then(c))
    assert _apply(left, x) == pytest.approx(_apply(right, x), rel=1e-9, abs=1e-2)


def test_infinite_bounds_survive_a_zero_scale() -> None:
    assert ClampedAffine(2.0, 1.0).then(ClampedAffine(0.0, 4.0)) == ClampedAffine(0.0, 4.0, 4.0, 4.0)


def test_a_negative_slope_swaps_the_bounds() -> None:
    folded = ClampedAffine(1.0, 0.0, -1.0, math.inf).then(ClampedAffine(-2.0, 1.0))
    assert folded == ClampedAffine(-2.0, 1.0, -math.inf, 3.0)


def test_a_bound_alone_is_no_identity() -> None:
    assert ClampedAffine().is_identity
    assert not ClampedAffine(high=1.0).is_identity
    assert ClampedAffine().then(ClampedAffine(2.0, 1.0, 0.0, 9.0)) == ClampedAffine(2.0, 1.0, 0.0, 9.0)


def test_limits_before_a_zscore_cost_it_no_digit() -> None:
    folded = ClampedAffine(low=999.0, high=1001.0).then(ClampedAffine(1e3, centre=1000.0001))
    assert (folded.scale, folded.shift, folded.centre) == (1e3, 0.0, 1000.0001)


def test_constants_are_those_at_the_root() -> None:
    """The float32 number nearest to 1000.0001 is 1000.0001220703125; 2.2e-5 below it the function is 0."""
    lead, scale, rest, _, _ = ClampedAffine(1e3, centre=1000.0001).constants()
    assert (lead, scale) == (-1000.0001220703125, 1000.0)
    assert rest == pytest.approx(1e3 * 2.20703125e-5, rel=1e-6)
    assert ClampedAffine(2.0, -6.0).constants()[:3] == (-3.0, 2.0, 0.0)


def test_a_sum_adds_once() -> None:
    lead, scale, rest, _, _ = ClampedAffine(1.0, -1024.0).constants()
    assert (lead, scale, rest) == (-1024.0, 1.0, 0.0)
    assert math.copysign(1.0, rest) == -1.0
