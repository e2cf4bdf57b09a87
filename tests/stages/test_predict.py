"""`symmcd predict`: crystals of a composition, the likeliest first."""

from __future__ import annotations

import csv
import re
from collections import Counter

import pytest

from symmcd.errors import InputError
from symmcd.stages import predict
from symmcd.storage import read_units


def test_a_formula_makes_a_ranked_table_and_crystals_of_it(denoiser, tmp_path, capsys):
    predict.run(tmp_path, "Ti2O4", 400, atoms=6, checkpoint=denoiser, device="cpu")
    with (tmp_path / "crystals.csv").open() as file:
        rows = list(csv.DictReader(file))
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
    assert f"{len(rows)} instead of 400" in capsys.readouterr().out
    with pytest.raises(InputError, match="no multiple of the 3"):
        predict.run(tmp_path, "TiO2", 1, checkpoint=denoiser, atoms=4)


@pytest.mark.parametrize("formula", ["Xx2", "Ti0.5O", "Fe3+", "", "Ti-O2"])
def test_what_is_no_formula_is_refused(formula, tmp_path):
    with pytest.raises(InputError, match=f"^{re.escape(formula)}: "):
        predict.run(tmp_path, formula, 1)
