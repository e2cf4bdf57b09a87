"""`symmcd predict`: crystals of a composition, the likeliest first, or relaxed and ordered by energy as well."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections import Counter

import numpy as np
import pytest
from tests.potentials.toy import ENTRY, Morse

import symmcd
from symmcd import cli
from symmcd.diffusion.generator import Generator
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.potentials.potential import Request, UnusableCrystalError
from symmcd.settings import RelaxSettings
from symmcd.stability import relax_set
from symmcd.stages import predict
from symmcd.storage import read_units

WHAT = {"atoms": 6, "device": "cpu", "steps": 2, "proposals": 1}


@pytest.fixture
def toy(monkeypatch):
    """Settings of a relaxation by a cheap potential called toy."""
    monkeypatch.setitem(POTENTIALS._added, "toy", ENTRY)
    return RelaxSettings(potential="toy", steps=8)


class Opposite(Morse):
    """It finds the worst crystal of the other toy the best, and has no energy of more than twelve atoms."""

    def evaluate(self, requests, *, forces=True):
        points = super().evaluate(requests, forces=forces)
        return [
            UnusableCrystalError("too_many")
            if len(request.element) > 12
            else dataclasses.replace(point, energy=-point.energy)
            for request, point in zip(requests, points, strict=True)
        ]


def load_opposite(_device):
    return Opposite()


@pytest.fixture
def opposite(toy, monkeypatch):
    """A judge of what the toy relaxes."""
    entry = dataclasses.replace(ENTRY, loader=f"{__name__}:load_opposite")
    monkeypatch.setitem(POTENTIALS._added, "opposite", entry)
    return toy


@pytest.fixture(scope="module")
def unrelaxed(denoiser, tmp_path_factory):
    """Folder of eight candidates of TiO2, the likeliest first."""
    folder = tmp_path_factory.mktemp("unrelaxed")
    predict.run(folder, "TiO2", 8, checkpoint=denoiser, **WHAT)
    return folder


def table_of(folder):
    with (folder / "crystals.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_formula_makes_a_ranked_table_and_crystals_of_it(denoiser, tmp_path, capsys):
    predict.run(tmp_path, "Ti2O4", 400, atoms=6, checkpoint=denoiser, device="cpu")
    rows = table_of(tmp_path)
    units = read_units(tmp_path / "units.npz")
    assert [row["id"] for row in rows] == units.label.tolist()
    assert [int(row["space_group"]) for row in rows] == units.space_group.tolist()
    assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-4 * len(rows))
    assert sorted(rows, key=lambda row: -float(row["log_probability"])) == rows
    for row in rows:
        atoms = Counter()
        for site in row["orbits"].split("; "):
            element, position = site.split()
            atoms[element] += int(position[:-1])
        assert atoms["O"] == 2 * atoms["Ti"] > 0
    assert f"{len(rows)} crystals instead of 400" in capsys.readouterr().out
    with pytest.raises(InputError, match="not a multiple of the 3"):
        predict.run(tmp_path, "TiO2", 1, checkpoint=denoiser, atoms=4)


@pytest.mark.parametrize("formula", ["Xx2", "Ti0.5O", "Fe3+", "", "Ti-O2"])
def test_what_is_no_formula_is_refused(formula, tmp_path):
    with pytest.raises(InputError, match=f"^{re.escape(formula)}: "):
        predict.run(tmp_path, formula, 1)


@pytest.mark.parametrize("beta", [None, 0.0, 0.3])
def test_relaxed_candidates_are_in_the_order_of_energy_and_probability(denoiser, unrelaxed, tmp_path, toy, beta):
    predict.run(tmp_path, "TiO2", 8, checkpoint=denoiser, **WHAT, relax=True, geometries=1, beta=beta, settings=toy)
    rows, before = table_of(tmp_path), table_of(unrelaxed)
    units = read_units(tmp_path / "units.npz")
    assert [row["id"] for row in rows] == units.label.tolist() == [row["id"] for row in before]
    known = [row for row in rows if row["energy_relaxed"]]
    assert rows[: len(known)] == known
    assert len(known) > 2
    for row in known:
        score = float(row["energy_relaxed"]) - (predict.BETA if beta is None else beta) * float(row["log_probability"])
        assert float(row["score"]) == pytest.approx(score, abs=1e-3)
    assert [float(row["score"]) for row in known] == sorted(float(row["score"]) for row in known)
    for i, row in enumerate(known):  # the energy is that of the crystal that is written
        cell = symmcd.replicate(units[i]).get_primitive_structure()
        request = Request(cell.lattice.matrix, cell.frac_coords, np.array(cell.atomic_numbers))
        assert Morse().evaluate([request], forces=False)[0].energy == pytest.approx(
            float(row["energy_relaxed"]), abs=1e-5
        )
    arrangement = [(row["space_group"], row["orbits"], row["log_probability"]) for row in rows]
    assert sorted(arrangement) == sorted((r["space_group"], r["orbits"], r["log_probability"]) for r in before)
    place = [float(row["log_probability"]) for row in rows[len(known) :]]
    assert place == sorted(place, reverse=True)


def test_crystals_are_also_written_as_they_were(denoiser, unrelaxed, tmp_path, toy):
    predict.run(tmp_path, "TiO2", 8, checkpoint=denoiser, **WHAT, relax=True, geometries=1, settings=toy)
    as_they_were, relaxed = read_units(tmp_path / "unrelaxed.npz"), read_units(tmp_path / "units.npz")
    predicted = read_units(unrelaxed / "units.npz")
    place = {row["log_probability"]: i for i, row in enumerate(table_of(unrelaxed))}
    assert len(place) == 8
    for i, row in enumerate(table_of(tmp_path)):
        same = predicted[place[row["log_probability"]]]
        assert np.array_equal(as_they_were[i].position, same.position)
        assert np.allclose(as_they_were[i].lattice, same.lattice)
        assert as_they_were[i].letter == relaxed[i].letter
        assert np.allclose(relaxed[i].lattice, same.lattice) == (row["energy_relaxed"] == "")
    predict.run(tmp_path, "TiO2", 8, checkpoint=denoiser, **WHAT)  # what is of other crystals goes
    assert not (tmp_path / "unrelaxed.npz").exists()
    for name in ("crystals.csv", "crystals.extxyz", "units.npz"):
        assert (tmp_path / name).read_bytes() == (unrelaxed / name).read_bytes()


def test_what_cannot_be_relaxed_comes_last_in_its_old_order(denoiser, unrelaxed, tmp_path, toy, monkeypatch):
    done, failed = relax_set.relaxed_crystals, []

    def some_fail(*arguments, **options):
        lost = {"status": "exploded", "energy_relaxed": None, "structure": None, "unit": None}
        for index, result in done(*arguments, **options):
            ended = dataclasses.replace(result, **lost) if index in (0, 2, 5) else result
            failed.extend([index] * (ended.energy_relaxed is None))
            yield index, ended

    monkeypatch.setattr(relax_set, "relaxed_crystals", some_fail)
    predict.run(tmp_path, "TiO2", 8, checkpoint=denoiser, **WHAT, relax=True, geometries=1, settings=toy)
    assert {0, 2, 5} <= set(failed)
    assert len(failed) < 8
    before, last = table_of(unrelaxed), table_of(tmp_path)[-len(failed) :]
    assert {row["status"] for row in last} == {"exploded"}
    assert [row["log_probability"] for row in last] == [before[i]["log_probability"] for i in sorted(failed)]
    assert [row["density"] for row in last] == [before[i]["density"] for i in sorted(failed)]
    assert {row["energy_relaxed"] for row in last} == {row["score"] for row in last} == {""}


def test_an_interrupted_relaxation_leaves_the_crystals_as_predicted(
    denoiser, unrelaxed, tmp_path, toy, monkeypatch, capsys
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(relax_set, "relaxed_crystals", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict.run(tmp_path, "TiO2", 8, checkpoint=denoiser, **WHAT, relax=True, geometries=1, settings=toy)
    assert "8 crystals written as predicted, not relaxed" in capsys.readouterr().err
    assert (tmp_path / "crystals.csv").read_bytes() == (unrelaxed / "crystals.csv").read_bytes()


def test_python_ranks_as_the_command_does(denoiser, tmp_path, toy):
    words = ["predict", "TiO2", "--number", "5", "--atoms", "6", "--device", "cpu", "--steps", "2", "--proposals", "1"]
    words += [
        "--checkpoint",
        str(denoiser),
        "--output",
        str(tmp_path),
        "--relax",
        "--beta",
        "0.05",
        "--geometries",
        "3",
    ]
    assert cli.main([*words, "--set", "relax.potential=toy", "--set", "relax.steps=8"]) == 0
    candidates = Generator.load(denoiser, "cpu").predict("TiO2", 5, atoms=6, geometries=3, steps=2, proposals=1)
    found = symmcd.rank(candidates, 0.05, "cpu", potential="toy", steps=8)
    rows = table_of(tmp_path)
    assert [candidate.relaxation.status for candidate in found] == [row["status"] for row in rows]
    assert [f"{candidate.log_probability:.3f}" for candidate in found] == [row["log_probability"] for row in rows]
    for candidate, row in zip(found, rows, strict=True):
        energy = candidate.relaxation.energy_relaxed
        assert ("" if energy is None else f"{energy:.4f}") == (
            row["energy_relaxed"] and f"{float(row['energy_relaxed']):.4f}"
        )
    assert symmcd.rank([], potential="toy") == []


def test_the_geometry_of_lowest_energy_is_kept(denoiser, toy):
    """Each of several geometries relaxed alone: the candidate has the lowest energy of its own, and no other's."""
    generator = Generator.load(denoiser, "cpu")
    candidates = generator.predict("TiO2", 4, atoms=6, geometries=3, steps=2, proposals=1)
    first = generator.predict("TiO2", 4, atoms=6, steps=2, proposals=1)
    for candidate, alone in zip(candidates, first, strict=True):
        assert np.array_equal(candidate.unit.position, alone.unit.position)
        assert len({unit.lattice.round(6).tobytes() for unit in (candidate.unit, *candidate.others)}) == 3
        assert {tuple(unit.letter) for unit in candidate.others} == {tuple(candidate.unit.letter)}
    found = symmcd.rank(candidates, device="cpu", potential="toy", steps=8)
    lowest = {}
    for candidate in candidates:
        results = symmcd.relax([candidate.unit, *candidate.others], "cpu", potential="toy", method="symmetry", steps=8)
        energies = [result.energy_relaxed for result in results if result.energy_relaxed is not None]
        lowest[candidate.log_probability] = min(energies, default=None)
    assert len(lowest) == len(found) == 4
    for candidate in found:
        expected = lowest[candidate.log_probability]
        assert candidate.relaxation.energy_relaxed == (None if expected is None else pytest.approx(expected, abs=1e-5))


def test_a_judge_orders_what_another_potential_relaxed(denoiser, tmp_path, opposite):
    """Each energy is that of the crystal which is written, and the order is the opposite of the other potential's."""
    how = {**WHAT, "atoms": None, "checkpoint": denoiser, "relax": True, "geometries": 2, "beta": 0.0}
    predict.run(tmp_path / "alone", "TiO2", 8, **how, settings=opposite)
    predict.run(tmp_path / "judged", "TiO2", 8, **how, judge="opposite", settings=opposite)
    alone, rows = table_of(tmp_path / "alone"), table_of(tmp_path / "judged")
    units = read_units(tmp_path / "judged/units.npz")
    known = [row for row in rows if row["energy_judge"]]
    assert rows[: len(known)] == known
    assert {row["status_judge"] for row in known} == {"ok"}
    for i, row in enumerate(known):
        cell = symmcd.replicate(units[i]).get_primitive_structure()
        request = Request(cell.lattice.matrix, cell.frac_coords, np.array(cell.atomic_numbers))
        energy = Morse().evaluate([request], forces=False)[0].energy
        assert -float(row["energy_judge"]) == pytest.approx(energy, abs=1e-5)
        assert row["score"] == row["energy_judge"]
    small = [row["energy_relaxed"] for row in alone if row["energy_relaxed"] in {r["energy_relaxed"] for r in known}]
    assert [row["energy_relaxed"] for row in known] == small[::-1]
    assert len(known) > 2
    large = [row for row in rows if row["status_judge"] == "failed:too_many"]
    assert large
    assert {row["score"] for row in large} == {""}
    assert sorted(row["energy_relaxed"] for row in rows) == sorted(row["energy_relaxed"] for row in alone)


def test_python_and_the_command_line_ask_the_same_judge(denoiser, tmp_path, opposite):
    words = ["predict", "TiO2", "--number", "4", "--atoms", "6", "--device", "cpu", "--steps", "2", "--proposals", "1"]
    words += ["--relax", "--judge", "opposite"]
    words += ["--checkpoint", str(denoiser), "--output", str(tmp_path), "--set", "relax.potential=toy"]
    assert cli.main([*words, "--set", "relax.steps=8"]) == 0
    candidates = Generator.load(denoiser, "cpu").predict("TiO2", 4, atoms=6, geometries=6, steps=2, proposals=1)
    found = symmcd.rank(candidates, device="cpu", judge="opposite", potential="toy", steps=8)
    assert [candidate.judged.status for candidate in found] == [row["status_judge"] for row in table_of(tmp_path)]
    for candidate, row in zip(found, table_of(tmp_path), strict=True):
        if candidate.judged.value is None:
            assert candidate.score is None
            assert row["energy_judge"] == ""
        else:
            expected = candidate.judged.value - predict.BETA * candidate.log_probability
            assert candidate.score == pytest.approx(expected)
            assert float(row["energy_judge"]) == pytest.approx(candidate.judged.value, abs=1e-4)


def test_candidates_of_several_compositions_are_not_ranked_together(denoiser):
    generator = Generator.load(denoiser, "cpu")
    candidates = [generator.predict(f, 1, steps=1, proposals=1)[0] for f in ("TiO2", "NaO")]
    with pytest.raises(InputError, match=r"TiO2.*rank each formula separately"):
        symmcd.rank(candidates)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "unconstrained"}, "keep their space group"),
        ({"release_steps": 3}, "keep their space group"),
        ({"number": 3}, "all candidates are relaxed"),
        ({"stepz": 3}, "did you mean 'steps'"),
        ({"beta": -1.0, "potential": "toy"}, "beta = -1.0: expected"),
        ({"potential": "narrow"}, "relax.potential = narrow does not know Ti;"),
        ({"potential": "toy", "judge": "narrow"}, "judge = narrow does not know Ti;"),
        ({"potential": "toy", "judge": "toy"}, "judge = toy relaxes the crystals"),
        ({"potential": "toy", "judge": "sevenet"}, "judge = sevenet: choose one of"),
    ],
)
def test_what_cannot_be_ranked_is_refused_before_anything_is_computed(denoiser, options, said, monkeypatch):
    def loaded(_device):
        raise AssertionError("nothing was to be computed")

    other = {"toy": dataclasses.replace(ENTRY, loader=loaded)}
    other["narrow"] = dataclasses.replace(ENTRY, elements=frozenset({8}), loader=loaded)
    for name, entry in other.items():
        monkeypatch.setitem(POTENTIALS._added, name, entry)
    candidates = Generator.load(denoiser, "cpu").predict("TiO2", 1, steps=1, proposals=1)
    with pytest.raises(InputError, match=said):
        symmcd.rank(candidates, device="cpu", **options)


def test_the_command_refuses_before_it_loads_weights(tmp_path, toy, monkeypatch):
    monkeypatch.setattr(Generator, "load", None)
    with pytest.raises(InputError, match="--beta needs --relax"):
        predict.run(tmp_path, "TiO2", 1, beta=0.02)
    with pytest.raises(InputError, match="--geometries needs --relax"):
        predict.run(tmp_path, "TiO2", 1, geometries=2)
    with pytest.raises(InputError, match="--judge needs --relax"):
        predict.run(tmp_path, "TiO2", 1, judge="sevennet-0")
    monkeypatch.setitem(POTENTIALS._added, "toy", dataclasses.replace(ENTRY, elements=frozenset({22})))
    with pytest.raises(InputError, match="toy does not know O;"):
        predict.run(tmp_path, "TiO2", 1, relax=True, settings=toy)
