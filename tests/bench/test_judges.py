"""Tables of bench/judges.py on made-up errors, against numpy, pymatgen, scikit-learn and matbench-discovery itself."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element
from pymatgen.symmetry.groups import SpaceGroup
from sklearn import metrics

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.errors import InputError
from symmcd.stability.hull import HullEntry
from tests.report.conftest import KINDS, make_units

INSTALLED = importlib.util.find_spec("matbench_discovery") is not None
NUMBER = 400


@pytest.fixture
def units():
    return make_units(NUMBER, 5)


@pytest.fixture
def errors():
    """Of two judges, meV/atom: alike in part, with a bias of 10 and a few crystals without energy."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(0, 30, NUMBER), rng.normal(0, 30, (2, NUMBER))
    one, other = 10 + shared + own[0], shared + own[1]
    other[::50] = np.nan
    return {"one": one, "other": other}


def cells(line):
    """Numbers of a line of a table without its intervals; texts as they are."""
    return [cell.partition(" [")[0].strip() for cell in line.strip("|").split("|")]


def test_every_element_is_in_the_block_that_pymatgen_says():
    import judges_tables

    for number in range(1, 104):
        element = Element.from_Z(number)
        if element.is_actinoid:
            expected = "an actinide"
        elif element.is_lanthanoid:
            expected = "a lanthanide, no actinide"
        elif 3 <= element.group <= 12:
            expected = "d block, no oxygen, no f block"
        else:
            expected = "s and p block with oxygen" if number == 8 else "s and p block without oxygen"
        assert judges_tables.BLOCKS[judges_tables.block(frozenset([number]))] == expected, element


@pytest.mark.parametrize(
    ("formula", "block"),
    [
        ("UNdFeO4", "an actinide"),
        ("NdFeO3", "a lanthanide, no actinide"),
        ("LaF3", "a lanthanide, no actinide"),
        ("LiFePO4", "d block and oxygen, no f block"),
        ("ZnS", "d block, no oxygen, no f block"),
        ("CaCO3", "s and p block with oxygen"),
        ("NaCl", "s and p block without oxygen"),
    ],
)
def test_a_crystal_is_in_the_first_class_that_fits(formula, block):
    import judges_tables

    numbers = frozenset(element.Z for element in Composition(formula))
    assert judges_tables.BLOCKS[judges_tables.block(numbers)] == block


def test_classes_hold_every_crystal_once_with_its_mean_errors(units, errors):
    import judges_tables

    groupings = judges_tables.groupings(units, [HullEntry("NaCl", -2.0, "formation_energy", "", "00000")])
    for grouping in groupings:
        lines = judges_tables.by_class(grouping, errors).splitlines()[2:]
        assert len(lines) == len(grouping.classes)
        assert sum(int(cells(line)[1]) for line in lines) == NUMBER
        for index, line in enumerate(lines):
            inside = grouping.of == index
            expected = []
            for error in errors.values():
                expected += [np.nanmean(np.abs(error[inside])), np.nanmean(error[inside])] if inside.any() else []
            found = [float(cell) for cell in cells(line)[2:] if cell != "–"]
            assert found == pytest.approx(expected, abs=0.051)


def test_crystal_systems_end_where_pymatgen_says():
    import judges_tables

    ends = [1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230]
    found = [list(judges_tables.CRYSTAL_SYSTEMS)[i] for i in judges_tables.crystal_system(np.array(ends))]
    assert found == [SpaceGroup.from_int_number(number).crystal_system for number in ends]


def test_other_entries_are_those_of_the_chemical_system_without_the_crystal_itself():
    import judges_tables

    group, lattice, letters, points = KINDS[2]
    crystals = [AsymmetricUnit(group, lattice, elements, tuple(letters), points) for elements in ((56, 22, 8),) * 2]
    units = AsymmetricUnits.from_units(crystals, ["mp-1", "new"])
    formulas = {"mp-1": "BaTiO3", "mp-2": "TiO2", "mp-3": "TiO2", "mp-4": "BaO", "mp-5": "SrTiO3", "mp-6": "Ti"}
    table = [HullEntry(formula, -1.0, "formation_energy", "", name) for name, formula in formulas.items()]
    assert judges_tables.others(units, table).tolist() == [3, 4]
    ten = [HullEntry("BaO", -1.0, "formation_energy", "", f"more-{i}") for i in range(8)]
    names = [judges_tables.groupings(units, [*table, *ten])[2].classes[i] for i in (1, 2)]
    assert judges_tables.groupings(units, [*table, *ten])[2].of.tolist() == [1, 2]  # 11 others and 12
    assert names == ["4 to 11", "12 to 39"]


def test_two_judges_against_numpy(errors):
    import judges_tables

    both = np.isfinite(errors["other"])
    a, b = errors["one"][both], errors["other"][both]
    _, linear, ranked, apart = cells(judges_tables.pairs(errors).splitlines()[-1])
    assert float(linear) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=0.006)
    ranks = [np.searchsorted(np.sort(x), x) for x in (a, b)]
    assert float(ranked) == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=0.006)
    assert float(apart) == pytest.approx(100 * np.mean(np.abs(a - b) > 50), abs=0.051)


def test_the_interval_is_that_of_a_mean():
    import judges_tables

    values = np.random.default_rng(1).normal(3, 2, 900)
    mean, low, high = judges_tables.interval(lambda i: values[i].mean(), len(values))
    assert mean == values.mean()
    assert [low, high] == pytest.approx(mean + 1.96 * values.std() / 30 * np.array([-1, 1]), abs=0.02)


def test_energies_too_low_at_high_symmetry_show(units, errors):
    import judges_tables

    groups = np.where(units.space_group >= 168, units.space_group, 14)
    # a class of elements that most have whose symmetry is high, and that has higher energies
    block_of = ((groups >= 168) ^ (np.arange(NUMBER) % 4 == 0)).astype(int)
    lowered = errors["one"] - 40 * (groups >= 168) + 60 * block_of
    line = judges_tables.high_symmetry(groups, block_of, {"one": lowered}).splitlines()[-1]
    _, above, below, difference, alike = cells(line)
    assert float(above) == pytest.approx(lowered[groups >= 168].mean(), abs=0.051)
    assert float(below) == pytest.approx(lowered[groups == 14].mean(), abs=0.051)
    assert float(difference) == pytest.approx(float(above) - float(below), abs=0.11)
    assert float(alike) == pytest.approx(-40, abs=15)
    assert float(line.split("|")[-2].split(",")[1].strip(" ]")) < 0 < float(difference) + 20


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_of_the_elements_is_no_difference_of_like_elements(seed):
    """Against least squares of a constant a class and a difference; exact where the classes alone differ."""
    import judges_tables

    rng = np.random.default_rng(seed)
    of = rng.integers(0, 4, 100)
    above = rng.random(100) < np.array([0.1, 0.4, 0.9, 0.0])[of]  # the last class has none
    values = 100.0 * np.array([0, 1, 2, 0])[of]
    assert judges_tables.within(values, above, np.zeros(100, int)) > 20
    assert judges_tables.within(values, above, of) == pytest.approx(0, abs=1e-9)
    values += 7 * above + rng.normal(0, 5, 100)
    columns = np.column_stack([*(of == i for i in range(4)), above]).astype(float)
    assert judges_tables.within(values, above, of) == pytest.approx(np.linalg.lstsq(columns, values)[0][-1])


@pytest.mark.parametrize("seed", range(4))
def test_the_hull_of_the_others_is_that_of_pymatgen(seed):
    import judges_stability

    rng = np.random.default_rng(seed)
    group, lattice, letters, points = KINDS[2]
    unit = AsymmetricUnit(group, np.array(lattice), np.array([56, 22, 8]), tuple(letters), points)
    formulas = ["BaTiO3", "BaTiO3", "BaO", "TiO2", "Ti2O3", "Ba2TiO4", "BaTi2O5", "SrO"]
    energies = rng.uniform(-3, -2, len(formulas))
    table = [
        HullEntry(formula, energy, "formation_energy", "", f"mp-{i}")
        for i, (formula, energy) in enumerate(zip(formulas, energies, strict=True))
    ]
    units = AsymmetricUnits.from_units([unit], ["mp-0"])
    units.properties["formation_energy_per_atom"] = energies[:1]
    entries = [PDEntry(element, 0.0) for element in ("Ba", "Ti", "O", "Sr")]
    for formula, energy in list(zip(formulas, energies, strict=True))[1:]:
        entries.append(PDEntry(formula, energy * Composition(formula).num_atoms))
    itself = PDEntry("BaTiO3", energies[0] * 5)
    expected = PhaseDiagram(entries).get_e_above_hull(itself, allow_negative=True)
    assert judges_stability.above_others(units, table) == pytest.approx([expected], abs=1e-7)  # of the solver


def by_sklearn(true, predicted):
    """What matbench-discovery's function returns, of those measures that the table has."""
    sound = np.isfinite(predicted)
    positive, called = true <= 0, predicted <= 0  # nan is not called stable
    precision = metrics.precision_score(positive, called)
    return {
        "F1": metrics.f1_score(positive, called),
        "Precision": precision,
        "Recall": metrics.recall_score(positive, called),
        "DAF": precision / positive.mean(),
        "MAE": metrics.mean_absolute_error(true[sound], predicted[sound]),
        "R2": metrics.r2_score(true[sound], predicted[sound]),
    }


@pytest.fixture
def known():
    """Energies above the hull, eV/atom, half of them 0, a tenth unknown."""
    rng = np.random.default_rng(2)
    values = np.maximum(0, rng.normal(0, 0.05, NUMBER))
    values[::10] = np.nan
    return values


def test_stable_and_unstable_is_of_known_crystals_and_shifted_by_the_error(known, errors, monkeypatch):
    import judges_stability

    monkeypatch.setattr(judges_stability, "SAMPLES", 20)
    below = np.where(known == 0, -0.03, known)
    text = judges_stability.tables(known, below, {"sevennet-0": errors["other"]}, by_sklearn)
    lines = [cells(line) for line in text.splitlines() if line.startswith("|")][2:]
    there = np.isfinite(known)
    for line, true in zip(lines, (known[there], below[there]), strict=False):
        measures = by_sklearn(true, true + errors["other"][there] / 1000)
        expected = [measures[c] * (1000 if c == "MAE" else 1) for c in judges_stability.COLUMNS]
        assert [float(cell) for cell in line[2:]] == pytest.approx(expected, abs=0.051)
        assert float(line[2]) == pytest.approx(expected[0], abs=0.0006)
    assert lines[2][1:3] == ["sevennet-0", "0.724"]
    prevalence = np.mean(known[there] <= 0)
    assert f"DAF is at most {1 / prevalence:.2f}" in text
    assert text.count("(median -30 meV/atom)") == text.count("(median 0 meV/atom)") == 1
    assert f"F1 of calling all stable {2 * prevalence / (1 + prevalence):.3f}" in text


@pytest.mark.skipif(not INSTALLED, reason="matbench-discovery is not installed; bench/judges_stability.py says how")
def test_matbench_discovery_says_what_scikit_learn_says_and_downloads_nothing(known, errors):
    import judges_stability

    measures = judges_stability.stable_metrics()
    assert not {"matbench_discovery.data", "matbench_discovery.energy"} & set(sys.modules)
    true = known[np.isfinite(known)]
    predicted = true + errors["other"][np.isfinite(known)] / 1000
    theirs = measures(true, predicted)
    assert {c: theirs[c] for c in judges_stability.COLUMNS} == pytest.approx(by_sklearn(true, predicted))


def test_without_matbench_discovery_it_says_what_to_install(monkeypatch):
    import judges_stability

    monkeypatch.setattr(judges_stability.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"is not installed; bench/judges_stability\.py says how .*--without-matbench"):
        judges_stability.stable_metrics()


def test_a_version_whose_metrics_download_is_refused(tmp_path, monkeypatch):
    import judges_stability

    package = tmp_path / "matbench_discovery"
    (package / "metrics").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "matbench_discovery-2.0.0.dist-info").mkdir()
    (tmp_path / "matbench_discovery-2.0.0.dist-info/METADATA").write_text("Name: matbench-discovery\nVersion: 2.0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "matbench_discovery", raising=False)
    with pytest.raises(InputError, match=r"2\.0\.0: its metrics import a module that downloads"):
        judges_stability.stable_metrics()


def test_kept_energies_are_those_of_the_same_crystals_and_weights(units, tmp_path, monkeypatch):
    import judges

    path = tmp_path / "judged.npz"
    kept = judges.Kept(path, units)
    kept.correction = np.zeros(NUMBER)
    energy = np.arange(float(NUMBER))
    monkeypatch.setattr(judges, "judged", lambda name, *_: judges.Judged(energy, 1.5, judges._version(name)))
    first = kept.judged("chgnet", units, 1)
    monkeypatch.setattr(judges, "judged", lambda *_: pytest.fail("computed again"))
    again = judges.Kept(path, units)
    second = again.judged("chgnet", units, 1)
    assert np.array_equal(first.energy, second.energy)
    assert (first.milliseconds, first.version) == (second.milliseconds, second.version)
    with pytest.raises(InputError, match="other crystals"):
        judges.Kept(path, units.take(np.arange(NUMBER)[::-1]))
    again.of["chgnet"] = judges.Judged(energy, 1.5, "other weights; torch 1")
    with pytest.raises(InputError, match="name another file"):
        again.judged("chgnet", units, 1)
