"""symmcd.evaluate and its stage: crystals of anybody, in any cell, broken ones included."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from pymatgen.core import IStructure, Lattice, Molecule, Structure
from tests.broken_numbers import printed
from tests.crystallography.prototypes import PROTOTYPES, prototype
from tests.misbehaving_crystals import CRASHES, ERRS, HANGS, NO_MEMORY, trap
from tests.structures.test_convert import decorated

import symmcd
from symmcd import InputError, reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.settings import ScoreSettings
from symmcd.stages import evaluate
from symmcd.storage import write_units
from symmcd.structures.write import write_cifs, write_extxyz

NAMES = ("NaCl", "TiO2 rutile", "SrTiO3")


def value(result: evaluate.Evaluation, metric: str, protocol: str = "paper") -> float:
    table = result.summary
    return float(table[(table["metric"] == metric) & (table["protocol"] == protocol)]["value"].iloc[0])


def test_scores_do_not_depend_on_the_cell_given() -> None:
    """Primitive, conventional, or a supercell turned in space: the same crystal."""
    turned = prototype("NaCl").get_primitive_structure()
    turned.make_supercell([[2, 1, 0], [0, 1, 0], [0, 0, 1]])
    turned.lattice = Lattice(turned.lattice.matrix @ np.linalg.qr(np.arange(9.0).reshape(3, 3) + np.eye(3))[0])
    cells = [prototype("NaCl"), prototype("NaCl").get_primitive_structure(), turned]
    table = symmcd.evaluate(cells).table
    assert table["space_group_found"].tolist() == [225] * 3
    assert len(set(table["template"])) == 1
    assert table["atoms"].tolist() == [8] * 3
    for column in ("closest", "closest_with_images", "density"):
        assert table[column].to_numpy(float) == pytest.approx(table[column][0], rel=1e-4)


def test_atoms_stay_where_they_are() -> None:
    """A displacement below 0.1 Å is forgiven at 0.1 Å, and seen at 0.01 Å."""
    displaced = prototype("TiO2 rutile")
    displaced.translate_sites([0], [0.02, 0, 0], frac_coords=False)
    row = symmcd.evaluate([displaced]).table.iloc[0]
    assert (row["space_group_found"], row["space_group_found_tight"] == 136) == (136, False)
    assert row["closest"] == pytest.approx(displaced.distance_matrix[np.triu_indices(6, 1)].min(), abs=1e-4)


def test_broken_crystals_are_rows_and_count() -> None:
    disordered = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    overlapping = Structure(Lattice.cubic(4), ["Na", "Na"], [[0, 0, 0], [0.001, 0, 0]])
    flat = Structure(Lattice(np.diag([4, 4, 1e-9])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    nowhere = Structure(Lattice.cubic(4), ["Na"], [[np.nan, 0, 0]])
    result = symmcd.evaluate(
        {"good": prototype("NaCl"), "half": disordered, "close": overlapping, "flat": flat, "nowhere": nowhere}
    )
    assert result.table["id"].tolist() == ["good", "half", "close", "flat", "nowhere"]
    assert result.table["status"].tolist() == ["ok", "disordered", "redundant", "bad_cell", "bad_position"]
    assert value(result, "validity") == 20
    assert value(result, "templates_unique") == 1


def test_a_reference_gives_distances_and_novel_templates() -> None:
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    result = symmcd.evaluate([prototype(name) for name in NAMES], reference=units, train=units.take([0]))
    assert value(result, "density_wasserstein", "strict") == pytest.approx(0, abs=1e-3)
    assert value(result, "space_group_jsd", "strict") == pytest.approx(0)
    assert value(result, "templates_new") == 2
    assert "space_group_jsd" not in symmcd.evaluate([prototype("NaCl")]).summary["metric"].tolist()


def test_a_reference_is_no_training_set() -> None:
    """Templates of the test set must not be told as those in the training set."""
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    metrics = set(symmcd.evaluate([prototype("NaCl")], reference=units).summary["metric"])
    assert {"templates_unique", "coverage_recall"} <= metrics
    assert not {m for m in metrics if m.startswith("templates") and m.endswith(("_in_train", "_new"))}


def test_nothing_to_evaluate_is_an_error() -> None:
    with pytest.raises(InputError, match="no structures"):
        symmcd.evaluate([])


def test_the_stage_takes_a_folder_of_cifs(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in NAMES:
        prototype(name).to(str(folder / f"{name.replace(' ', '_')}.cif"))
    (folder / "broken.cif").write_text("data_nothing\n_cell_length_a ?\n")
    write_units(tmp_path / "test.npz", AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES]))
    evaluate.run(folder, tmp_path / "out", tmp_path / "test.npz", ScoreSettings())
    table = pd.read_csv(tmp_path / "out/per_crystal.csv", keep_default_na=False).set_index("id")
    assert len(table) == 4
    assert (table["status"]["broken"], str(table["valid"]["broken"])) == ("no_atoms", "False")
    assert table["detail"]["broken"]
    for name in NAMES:
        row = table.loc[name.replace(" ", "_")]
        assert int(row["space_group_found"]) == PROTOTYPES[name][0]
    summary = pd.read_csv(tmp_path / "out/summary.csv")
    assert summary[summary["metric"] == "validity"]["value"].iloc[0] == 75
    assert table["fingerprint"]["broken"] == "no_atoms"
    shares = summary[summary["protocol"] == "strict"].set_index("metric")["value"]
    assert (shares["coverage_recall"], shares["coverage_precision"]) == (100, 75)  # the broken one is a miss
    assert "this set, strict" in (tmp_path / "out/table2.md").read_text()
    assert "because there are no training crystals" in (tmp_path / "out/table1.md").read_text()


def as_files(folder: Path, kind: str) -> Path:
    """Three prototypes in one of the formats that people keep crystals in."""
    structures = {name.replace(" ", "_"): prototype(name) for name in NAMES}
    if kind == "zip":
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for name, structure in structures.items():
                archive.writestr(f"sub/{name}.cif", structure.to(fmt="cif"))
        return folder / "a.zip"
    if kind == "json":
        (folder / "a.json").write_text(json.dumps({name: s.as_dict() for name, s in structures.items()}))
        return folder / "a.json"
    frames = [s.to_ase_atoms() for s in structures.values()]
    ase.io.write(folder / "a.extxyz", frames, format="extxyz")
    return folder / "a.extxyz"


@pytest.mark.parametrize("kind", ["zip", "json", "extxyz"])
def test_every_format_gives_the_same_scores(kind: str, tmp_path: Path) -> None:
    evaluate.run(as_files(tmp_path, kind), tmp_path / "out", None, ScoreSettings())
    table = pd.read_csv(tmp_path / "out/per_crystal.csv")
    assert sorted(table["space_group_found"]) == sorted(PROTOTYPES[name][0] for name in NAMES)
    assert not (tmp_path / "out/fingerprints.sqlite").exists()  # nothing to compare with, nothing computed


def test_bad_input_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no .cif files here"):
        evaluate.run(tmp_path / "empty", tmp_path / "out", None, ScoreSettings())
    (tmp_path / "a.docx").write_text("text")
    with pytest.raises(InputError, match="unknown kind of file"):
        evaluate.run(tmp_path / "a.docx", tmp_path / "out", None, ScoreSettings())
    assert not (tmp_path / "out").exists()


def test_what_is_no_cif_in_a_folder_is_left_alone_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with notes and an xyz beside its CIFs: the CIFs count."""
    prototype("NaCl").to(str(tmp_path / "one.cif"))
    (tmp_path / "notes.txt").write_text("mine")
    prototype("ZnO").to_ase_atoms().write(tmp_path / "two.xyz")
    evaluate.run(tmp_path, tmp_path / "out", None, ScoreSettings())
    assert pd.read_csv(tmp_path / "out/per_crystal.csv")["id"].tolist() == ["one"]
    assert "not read: 2 files" in (said := capsys.readouterr().out)
    assert "notes.txt, two.xyz" in said


def test_what_is_wrong_with_a_damaged_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes that no text has, in a coordinate and in a name: a row and a name each, and two lines on the console."""
    path = tmp_path / "mine.extxyz"
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    write_extxyz(path, replicate_flat(units), units)
    frames = path.read_bytes()
    at = frames.index(b"0.0000000000")
    frames = frames[:at] + b"\xff" + frames[at + 1 :]
    path.write_bytes(frames.replace(b'id="00002"', b'id="0000\xff"'))
    evaluate.run(path, tmp_path / "out", None, ScoreSettings())
    said = " ".join(capsys.readouterr().err.split())
    assert "mine.extxyz: 1 of 3 crystals have a name with bytes that are no text in UTF-8, such as 0000\ufffd" in said
    assert "mine.extxyz: 1 of 3 crystals cannot be used and count as invalid; the first is 00000 (unparseable: " in said
    assert pd.read_csv(tmp_path / "out/per_crystal.csv", dtype={"id": str})["status"].tolist() == [
        "unparseable", "ok", "ok",
    ]  # fmt: skip


@pytest.mark.parametrize("kept", ["crystals.extxyz", "cif.zip"])
def test_a_folder_of_many_generated_crystals(kept: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beyond 300, `symmcd generate` and `replicate` write their CIFs into a zip, and crystals.extxyz beside it."""
    folder = tmp_path / "crystals"
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    write_units(folder / "units.npz", units)
    if kept == "cif.zip":
        write_cifs(folder / kept, replicate_flat(units), units)
    else:
        write_extxyz(folder / kept, replicate_flat(units), units)
    evaluate.run(folder, tmp_path / "out", None, ScoreSettings())
    table = pd.read_csv(tmp_path / "out/per_crystal.csv", dtype=str)
    assert sorted(table["space_group_found"]) == sorted(str(PROTOTYPES[name][0]) for name in NAMES)
    said = capsys.readouterr().out
    assert f"no .cif in {folder}; reading {kept} in it" in said
    assert sum(line.endswith("structurally valid, %") for line in said.splitlines()) == 2  # two protocols


def test_misses_of_coverage_stay_in_the_denominator() -> None:
    """Overlapping atoms, an element beyond Magpie's tables and a disordered crystal beside a good one."""
    bad = {
        "close": Structure(Lattice.cubic(4), ["Na", "Cl"], [[0, 0, 0], [0, 0, 1e-6]]),
        "heavy": Structure(Lattice.cubic(4), ["Og", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]]),
        "half": Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]]),
    }
    units = AsymmetricUnits.from_units([reduce(prototype("NaCl"))])
    result = symmcd.evaluate({"good": prototype("NaCl"), **bad}, reference=units, workers=1)
    assert result.table["fingerprint"].tolist() == ["ok", "disordered", "no_magpie_data", "disordered"]
    assert result.table["covered"].tolist() == [True, False, False, False]
    assert value(result, "coverage_precision") == 25
    assert value(result, "coverage_recall") == 100


def test_a_cell_of_500_atoms() -> None:
    """Without symmetry, so that nothing becomes smaller: scored, compared, and not in anybody's way."""
    big = prototype("CsCl")
    big.make_supercell([5, 5, 10])
    big.perturb(0.25)
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    result = symmcd.evaluate({"big": big, "good": prototype("NaCl")}, reference=units, train=units, workers=1)
    row = result.table.set_index("id").loc["big"]
    assert (row["status"], row["atoms"], row["space_group_found"]) == ("ok", 500, 1)
    assert row["fingerprint"] in ("ok", "timed_out")
    assert (row["comparison"], row["known_as"]) == ("ok", "")
    assert result.table.set_index("id")["known_as"]["good"] == "00000"
    assert (value(result, "novelty", "strict"), value(result, "uniqueness", "strict")) == (50, 100)


def test_elements_outside_the_tables_are_rows_with_their_reason() -> None:
    """Oganesson has no oxidation states, no Magpie data; the crystal is invalid in composition, not in structure."""
    heavy = Structure(Lattice.cubic(4), ["Og", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    units = AsymmetricUnits.from_units([reduce(prototype("CsCl"))])
    row = symmcd.evaluate([heavy], reference=units, train=units, workers=1).table.iloc[0]
    assert (row["status"], row["composition"]) == ("composition_no_data", "no_data")
    assert (row["structurally_valid"], row["compositionally_valid"]) == (True, False)
    assert (row["fingerprint"], row["covered"]) == ("no_magpie_data", False)
    assert row["prototype"] == "00000"  # caesium chloride, other elements


def test_without_predictor_d_e_is_said_to_be_missing(tmp_path: Path) -> None:
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    write_units(tmp_path / "test.npz", units)
    prototype("NaCl").to(str(tmp_path / "one.cif"))
    evaluate.run(tmp_path / "one.cif", tmp_path / "out", tmp_path / "test.npz", ScoreSettings())
    text = (tmp_path / "out/table2.md").read_text()
    assert "no predictor of formation energies" in text
    assert "not computed" not in text
    evaluate.run(tmp_path / "one.cif", tmp_path / "alone", None, ScoreSettings())
    assert "because there are no reference crystals" in (tmp_path / "alone/table2.md").read_text()


def test_crystals_without_a_training_set_get_no_novelty() -> None:
    units = AsymmetricUnits.from_units([reduce(prototype("NaCl"))])
    result = symmcd.evaluate([prototype("NaCl")], reference=units, workers=1)
    assert not {"novelty", "prototype_novelty"} & set(result.summary["metric"])
    assert "known_as" not in result.table


def test_known_templates_are_told_beside_a_training_set() -> None:
    """As in the chain; a crystal without a template has no answer."""
    flat = Structure(Lattice(np.diag([4, 4, 1e-9])), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    units = AsymmetricUnits.from_units([reduce(prototype("NaCl"))])
    table = symmcd.evaluate([prototype("NaCl"), prototype("ZnO"), flat], train=units, workers=1).table
    assert table["template_in_train"].tolist()[:2] == [True, False]
    assert pd.isna(table["template_in_train"][2])


def cubic(length: float) -> Structure:
    return Structure(Lattice.cubic(length), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_a_crystal_that_hangs_crashes_or_eats_the_memory_is_a_row(tmp_path: Path) -> None:
    """In C code that nothing but the end of its process ends; later steps leave it alone, and the others are scored."""
    crystals = {"a": cubic(4.12), "hangs": cubic(HANGS), "crashes": cubic(CRASHES), "errs": cubic(ERRS)}
    crystals |= {"memory": cubic(NO_MEMORY), "b": cubic(4.2)}
    units = AsymmetricUnits.from_units([reduce(cubic(4.12))])
    settings = ScoreSettings(crystal_seconds=4.0, smact_seconds=4.0, prototype_sample=0)
    with trap(tmp_path):
        result = symmcd.evaluate(crystals, reference=units, train=units, settings=settings)
    table = result.table.set_index("id")
    status = ["ok", "timed_out", "crashed", "failed:ZeroDivisionError", "out_of_memory", "ok"]
    assert table["status"].tolist() == status
    assert table["fingerprint"].tolist()[1:3] == status[1:3]
    assert table["valid"].tolist() == [True, False, False, False, False, True]
    assert table["formula"].tolist() == ["CsCl"] * 6
    assert table["comparison"].tolist()[1:3] != ["ok", "ok"]
    assert "more than 8 s" in table["detail"]["hangs"]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_end_no_process(broken: float) -> None:
    """In each coordinate and each entry of the cell, of a process of its own: a crash is one failed test."""
    said = printed(f"""
import symmcd
from pymatgen.core import Lattice, Structure
crystals = broken_crystals(float("{broken}"))
units = symmcd.AsymmetricUnits.from_units([symmcd.reduce(Structure(Lattice.cubic(4), ["Cs"], [[0, 0, 0]]))])
print(*symmcd.evaluate(crystals, reference=units, train=units, workers=1).table["status"])
for crystal in crystals:
    try:
        symmcd.reduce(crystal)
    except symmcd.InputError as error:
        print(error.reason)
""")
    rows, *reasons = said.splitlines()
    assert rows.split() == reasons == ["bad_position"] * 6 + ["bad_cell"] * 9


@settings_of_hypothesis(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_decoration_and_order_change_no_answer(seed: int) -> None:
    """Charges, spins, isotopes and site properties on any sites, crystals in any order: the same table."""
    plain = {name: prototype(name) for name in NAMES}
    plain |= {f"{name} again": prototype(name).get_primitive_structure() for name in NAMES}
    plain["hydride"] = Structure(Lattice.cubic(4.08), ["Li", "H"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    units = AsymmetricUnits.from_units([reduce(prototype("NaCl")), reduce(plain["hydride"])], ["salt", "hydride"])
    options = {"train": units, "settings": ScoreSettings(prototype_sample=0)}
    columns = ["status", "formula", "comparison", "known_as", "template", "space_group_found", "valid"]
    expected = symmcd.evaluate(plain, **options).table.set_index("id")
    random = np.random.default_rng(seed)
    order = random.permutation(list(plain)).tolist()
    found = symmcd.evaluate({name: decorated(plain[name], random) for name in order}, **options).table.set_index("id")
    assert found.index.tolist() == order
    pd.testing.assert_frame_equal(found.loc[list(plain), columns], expected[columns])
    # which one of a kind comes first depends on the order, and nothing else does
    for name, other in [(name, f"{name} again") for name in NAMES]:
        first, second = sorted((name, other), key=order.index)
        assert found["duplicate_of"][[first, second]].tolist() == ["", first]
    assert found["duplicate_of"]["hydride"] == ""


def test_a_dummy_species_is_no_element() -> None:
    crystals = {"dummy": Structure(Lattice.cubic(4), ["Na", "X0+"], [[0, 0, 0], [0.5, 0.5, 0.5]]), "good": cubic(4.1)}
    table = symmcd.evaluate(crystals).table
    assert table["status"].tolist() == ["unknown_element", "ok"]
    assert "dummy species X0+" in table["detail"][0]


def test_too_many_atoms_are_a_row() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(22) / 22] * 3), axis=-1).reshape(-1, 3)
    table = symmcd.evaluate([Structure(Lattice.cubic(66), ["Na"] * len(grid), grid), cubic(4.1)]).table
    assert table["status"].tolist() == ["too_large", "ok"]


def test_crystals_come_in_many_forms(tmp_path: Path) -> None:
    salt = prototype("NaCl")
    salt.to(str(tmp_path / "00000.cif"))
    expected = symmcd.evaluate([salt]).table
    forms = [
        salt,
        IStructure.from_sites(salt.sites),
        (salt,),
        iter([salt]),
        {"00000": salt},
        reduce(salt),
        [reduce(salt)],
    ]
    forms += [AsymmetricUnits.from_units([reduce(salt)]), salt.to_ase_atoms(), tmp_path, str(tmp_path / "00000.cif")]
    columns = ["id", "status", "formula", "atoms", "space_group_found", "template", "valid"]
    for form in forms:
        pd.testing.assert_frame_equal(symmcd.evaluate(form).table[columns], expected[columns])


@pytest.mark.parametrize(
    "thing", [5, None, [5], {"a": None}, [cubic(4.1), "x.cif"], "missing.cif", [Molecule(["O"], [[0, 0, 0]])]]
)
def test_what_are_no_crystals_is_said_in_words(thing: object) -> None:
    with pytest.raises(InputError, match=r"expected"):
        symmcd.evaluate(thing)


def test_what_a_machine_puts_into_a_folder_is_not_evaluated_nor_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "crystals"
    for name in ("NaCl.cif", "sub/TiO2.cif"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        prototype("NaCl").to(str(folder / name), fmt="cif")
    for name in ("._NaCl.cif", "sub/._TiO2.cif", "__MACOSX/._x.cif", ".DS_Store", "sub/Thumbs.db", "desktop.ini"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\x00\x05\x16\x07")
    evaluate.run(folder, tmp_path / "out", None, ScoreSettings())
    table = pd.read_csv(tmp_path / "out/per_crystal.csv", dtype={"id": str})
    assert table["id"].tolist() == ["NaCl", "sub/TiO2"]
    assert table["status"].tolist() == ["ok", "ok"]
    assert "not read" not in capsys.readouterr().out
    (folder / "notes.txt").touch()
    evaluate.run(folder, tmp_path / "out", None, ScoreSettings())
    assert "not read: 1 files" in capsys.readouterr().out
    write_units(folder / "units.npz", AsymmetricUnits.from_units([reduce(prototype("ZnO"))]))
    for name in ("crystals.extxyz", "crystals.csv"):  # as in a folder of `symmcd generate`
        (folder / name).touch()
    evaluate.run(folder, tmp_path / "out", None, ScoreSettings())
    assert "not read: 1 files" in capsys.readouterr().out


def test_the_crystals_of_a_folder_with_only_companions_are_those_of_its_extxyz(tmp_path: Path) -> None:
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    write_extxyz(tmp_path / "set/crystals.extxyz", replicate_flat(units), units)
    (tmp_path / "set/._crystals.cif").touch()
    evaluate.run(tmp_path / "set", tmp_path / "out", None, ScoreSettings())
    assert len(pd.read_csv(tmp_path / "out/per_crystal.csv")) == len(NAMES)
