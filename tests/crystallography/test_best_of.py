"""How crystals were chosen goes with them: through choices of them, files, and sets put together."""

from __future__ import annotations

import dataclasses
import json

import pytest

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.best_of import BestOf
from symmcd.errors import InputError
from tests.structures.random_units import random_units

CHOICE = BestOf(20, "ab" * 32, "chgnet", "table mp.csv")
CHOSEN = dataclasses.replace(random_units([2, 62, 225]), best_of=CHOICE)


def test_what_is_written_is_read() -> None:
    assert BestOf.read(CHOICE.text()) == CHOICE
    assert BestOf.read(BestOf(2).text()) == BestOf(2)
    later = json.dumps({**json.loads(CHOICE.text()), "temperature": 0.1})
    assert BestOf.read(later) == CHOICE, "a later version may say more"


@pytest.mark.parametrize(
    "text",
    ["", "20", "[]", "{}", "{", '{"drafts": 1}', '{"drafts": 2.5}', '{"drafts": true}', '{"drafts": "20"}'],
)
def test_what_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        BestOf.read(text)


@pytest.mark.parametrize("name", ["stability_model", "judge", "hull"])
@pytest.mark.parametrize("value", [None, 7, "a\nb", "\x1b[31m", "x" * 201])
def test_names_are_lines_of_text(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        BestOf.read(json.dumps({"drafts": 20, name: value}))


def test_it_goes_with_the_crystals() -> None:
    for units in (CHOSEN.take([2, 0]), CHOSEN.check(), AsymmetricUnits.concatenate([CHOSEN, CHOSEN.take([1])])):
        assert units.best_of == CHOICE
    assert random_units([2]).best_of is None


@pytest.mark.parametrize("other", [None, dataclasses.replace(CHOICE, drafts=4), BestOf(20, "cd" * 32)])
def test_crystals_chosen_in_different_ways_are_no_set(other: BestOf | None) -> None:
    with pytest.raises(InputError, match="chosen in different ways"):
        AsymmetricUnits.concatenate([CHOSEN, dataclasses.replace(CHOSEN, best_of=other)])
