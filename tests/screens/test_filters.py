"""Filters on screens: what they keep, against Python's own comparisons; what means nothing is refused in words."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as some

from symmcd import InputError
from symmcd.extensions import SCREENS
from symmcd.screens.filters import Filter, failures, read_filters

RELATIONS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@given(some.sampled_from(sorted(RELATIONS)), some.integers(-300, 300), some.integers(-300, 300))
def test_numbers_are_compared_as_python_compares_them(relation, value, wanted):
    """In steps of 0.01, which are wider than the last of four decimals."""
    kept = Filter.read(f"channel{relation}{wanted / 100}").passes(value / 100)
    assert kept is RELATIONS[relation](value, wanted)


@pytest.mark.parametrize(
    ("text", "kept", "not_kept"),
    [
        ("radioactive=no", [""], ["U", "Tc U", None]),
        ("radioactive=false", [""], ["U", None]),
        ("radioactive=yes", ["U"], ["", None]),
        ("radioactive!=no", ["U"], ["", None]),
        ("scarce=Ir", ["Ir", "Ir Pt"], ["", "Pt", None]),
        ("scarce!=Ir", ["", "Pt"], ["Ir", "Ir Pt", None]),
        ("oxidation-states=Fe3+", ["Fe3+ O2-"], ["Fe2+ O2-", "", None]),
        ("dimensionality == 2", [2, 2.0], [3, 1.99, None]),
        ("volume_change>-20", [-19.5, 0.0], [-20.0, -31.0, None]),
        ("channel>=1", [1.0, 0.99999, 2], [0.99, None]),
    ],
)
def test_what_is_kept(text, kept, not_kept):
    read = Filter.read(text)
    assert [value for value in [*kept, *not_kept] if read.passes(value)] == kept


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("channel", "expected a screen, a relation and a value"),
        ("", "expected a screen"),
        ("channel>=", "expected a screen"),
        ("channel>=1,dimensionality=2", "expected a screen"),
        ("chanel>=1", "no screen 'chanel'; did you mean 'channel'"),
        ("e_above_hull<0", "no screen 'e_above_hull'; choose from dimensionality, "),
        ("channel>=wide", "is a number in Å, not 'wide'"),
        ("channel<nan", "is a number in Å, not 'nan'"),
        ("dimensionality=inf", "is a number, not 'inf'"),
        ("radioactive<3", "is a text; give radioactive=no"),
    ],
)
def test_what_means_nothing_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        Filter.read(text)


def test_a_filter_on_a_screen_that_is_not_run_is_refused():
    with pytest.raises(InputError, match="'channel>=1': this screen is not run; add it to the screens"):
        read_filters(["dimensionality=2", "channel>=1"], ["dimensionality"])
    with pytest.raises(InputError, match="not run; run `pip install matsyngate` and add it"):
        read_filters("synthesis=no", ["dimensionality"])


def test_the_words_of_a_failure_read_back_as_the_filter():
    for name, screen in ((name, SCREENS[name]) for name in SCREENS):
        read = Filter.read(f"{name}=no" if screen.text else f"{name}>=1.5")
        (words,) = failures([read], {name: "U" if screen.text else 0.25})
        text, _, value = words.partition(": ")
        assert Filter.read(text) == read
        assert value == ("U" if screen.text else "0.25")
        assert failures([read], {name: "" if screen.text else 1.5}) == []
        assert failures([read], {}) == [f"{read}: not known"]


def test_the_same_filter_twice_is_one():
    assert len(read_filters(["channel>=1", "channel>=1.0", "channel >= 1"], ["channel"])) == 1
