"""Wishes that name files are known by what is in the files: a change is noticed, another name is not."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from symmcd import reduce
from symmcd.discovery.claim import claim
from symmcd.discovery.contents import wish_identity
from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS
from tests.crystallography.prototypes import prototype
from tests.discovery import killed

OF_FILES = [name for name in CONSTRAINTS if CONSTRAINTS[name].reads_file]


def value(name: str, path, *, text: bool = True):
    if name != "fill":
        return str(path) if text else path
    return f"{path}-Na+2K" if text else {"host": path, "add": ["K"], "remove": ["Na"]}


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("name", OF_FILES)
def test_a_folder_goes_on_with_a_file_that_has_moved_and_not_with_one_that_has_changed(name, text, tmp_path):
    first, moved, folder = tmp_path / "a-b+c.cif", tmp_path / "sub" / "other.cif", tmp_path / "list"
    moved.parent.mkdir()
    prototype("NaCl").to(str(first))
    shutil.copy(first, moved)
    plan = killed.plan("mp20")
    with_wish = dataclasses.replace(plan, constraints={name: value(name, first, text=text)}, judges=("chgnet",))
    claim(folder, with_wish)
    claim(folder, dataclasses.replace(with_wish, constraints={name: value(name, moved, text=text)}))
    drafts = with_wish.drafts_identity(256)
    prototype("CsCl").to(str(first))
    with pytest.raises(InputError, match=f"made with another {name.replace('_', '-')};"):
        claim(folder, with_wish)
    assert with_wish.drafts_identity(256) != drafts


def test_what_stands_behind_a_file_counts(tmp_path):
    path = tmp_path / "host.cif"
    prototype("NaCl").to(str(path))
    said = {wish_identity("fill", f"{path}{rest}") for rest in ("+Li", "+2Li", "-Na+Li")}
    assert len(said) == 3


def test_asymmetric_units_are_known_to_the_last_bit():
    unit = reduce(prototype("TiO2 rutile"))
    moved = unit.position.copy()
    moved[unit.element == 8] += 1e-12 * (moved[unit.element == 8] != 0)
    other = dataclasses.replace(unit, position=moved)
    assert wish_identity("like", unit) == wish_identity("like", dataclasses.replace(unit))
    assert (wish_identity("like", unit) == wish_identity("like", other)) is bool(
        (unit.position == other.position).all()
    )


def test_other_wishes_are_their_texts():
    assert wish_identity("formula", "LiFeO2") == "LiFeO2"
    assert wish_identity("atoms", (4, 8)) == "(4, 8)"
