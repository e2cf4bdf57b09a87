"""Generated crystals in extxyz files: those of units.npz beside them, each under an id of its own."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from tests.crystallography.prototypes import prototype

from symmcd import reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.errors import InputError
from symmcd.storage import write_units
from symmcd.structures.frames import frames_by_id, read_generated, space_group_of
from symmcd.structures.write import write_extxyz

NAMES = ("NaCl", "CsCl", "SrTiO3", "TiO2 rutile", "ZnO")


@pytest.fixture
def crystals(tmp_path: Path) -> Path:
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    write_units(tmp_path / "units.npz", units)
    write_extxyz(tmp_path / "crystals.extxyz", replicate_flat(units), units)
    return tmp_path / "crystals.extxyz"


def texts(path: Path) -> list[str]:
    """The frames of a file, each as its text."""
    lines = path.read_text().splitlines(keepends=True)
    found = []
    while lines:
        size = int(lines[0]) + 2
        found.append("".join(lines[:size]))
        lines = lines[size:]
    return found


def test_whole_files_are_read(crystals: Path) -> None:
    assert [frame.info["id"] for frame in read_generated(crystals)] == [f"{i:05d}" for i in range(5)]
    crystals.with_name("units.npz").unlink()
    assert len(read_generated(crystals)) == 5


@pytest.mark.parametrize("lost", range(5))
def test_a_file_cut_between_frames_is_refused(crystals: Path, lost: int) -> None:
    frames = texts(crystals)
    for kept in (frames[:lost] + frames[lost + 1 :], frames[:lost]):
        crystals.write_text("".join(kept))
        with pytest.raises(InputError, match=rf"crystals\.extxyz: crystal {lost:05d} of .*units\.npz is missing"):
            read_generated(crystals)
        mine = crystals.with_name("mine.extxyz")  # a part under another name is what its user wants
        mine.write_text("".join(kept))
        assert len(read_generated(mine)) == len(kept)


def test_crystals_of_another_run_are_refused(crystals: Path) -> None:
    """Their ids are the same numbers; atoms or groups are not, or there are more."""
    frames = texts(crystals)
    crystals.write_text(
        "".join([frames[1].replace("00001", "00000"), frames[0].replace("00000", "00001"), *frames[2:]])
    )
    with pytest.raises(InputError, match=r"frame 1: crystal 00000 of 2 atoms .* has 00000 of 8 in 225"):
        read_generated(crystals)
    crystals.write_text("".join([*frames, frames[0].replace("00000", "00005")]))
    with pytest.raises(InputError, match=r"crystal 00005 is not in .*units\.npz"):
        read_generated(crystals)
    crystals.write_text("".join([frames[0].replace("space_group=225", "space_group=221"), *frames[1:]]))
    with pytest.raises(InputError, match="different runs"):
        read_generated(crystals)


@pytest.mark.parametrize("twice", ["00003", "00000"])
def test_an_id_that_is_there_twice_is_named_with_both_frames(crystals: Path, twice: str) -> None:
    crystals.write_text("".join(texts(crystals)).replace('id="00004"', f'id="{twice}"'))
    with pytest.raises(InputError) as error:
        read_generated(crystals)
    assert twice in str(error.value)
    assert "5" in str(error.value)
    assert str(int(twice) + 1) in str(error.value)


def test_an_atom_that_is_no_element_is_named(crystals: Path) -> None:
    frames = texts(crystals)
    crystals.write_text("".join([*frames[:2], frames[2].replace("Sr ", "X "), *frames[3:]]))
    with pytest.raises(InputError, match=r"frame 3|00002"):
        read_generated(crystals)


@pytest.mark.parametrize("given", ["0", "231", "-1", "2.5", "T", "P1", "1e2"])
def test_a_space_group_that_is_none_is_named(crystals: Path, given: str) -> None:
    path = crystals.with_name("mine.extxyz")
    path.write_text(texts(crystals)[0].replace("space_group=225", f"space_group={given}"))
    (frame,) = ase.io.read(path, index=":")
    with pytest.raises(InputError, match=r"mine\.extxyz: frame .* has space_group=.*expected a number from 1 to 230"):
        space_group_of(path, frame)


def test_a_space_group_may_be_missing(crystals: Path) -> None:
    path = crystals.with_name("mine.extxyz")
    path.write_text(texts(crystals)[0].replace("space_group=225 ", ""))
    (frame,) = read_generated(path)
    assert space_group_of(path, frame) is None


def test_frames_of_several_files_by_id(crystals: Path) -> None:
    parts = [crystals.with_name(f"{i}.extxyz") for i in range(2)]
    frames = texts(crystals)
    parts[0].write_text("".join(frames[:2]))
    parts[1].write_text("".join(frames[2:]))
    assert list(frames_by_id(parts)) == [f"{i:05d}" for i in range(5)]
    with pytest.raises(InputError, match=r"1\.extxyz, frame 1: crystal 00002 appears twice"):
        frames_by_id([*parts, parts[1]])
