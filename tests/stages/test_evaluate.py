"""symmcd.evaluate and its stage: crystals of anybody, in any cell, broken ones included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Lattice, Structure
from tests.crystallography.prototypes import PROTOTYPES, prototype

import symmcd
from symmcd import InputError, reduce
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.settings import ScoreSettings
from symmcd.stages import evaluate
from symmcd.storage import write_units

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
    assert result.table["status"].tolist() == ["ok", "disordered", "no_symmetry_found", "bad_cell", "bad_cell"]
    assert value(result, "validity") == 20
    assert value(result, "templates_unique") == 1


def test_a_reference_gives_distances_and_novel_templates() -> None:
    units = AsymmetricUnits.from_units([reduce(prototype(name)) for name in NAMES])
    result = symmcd.evaluate([prototype(name) for name in NAMES], reference=units)
    assert value(result, "density_wasserstein", "strict") == pytest.approx(0, abs=1e-3)
    assert value(result, "space_group_jsd", "strict") == pytest.approx(0)
    assert value(result, "templates_new") == 0
    assert "space_group_jsd" not in symmcd.evaluate([prototype("NaCl")]).summary["metric"].tolist()


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
