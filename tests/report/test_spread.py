"""How much numbers vary between runs: against numpy, and what is refused."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from symmcd.cli import main
from symmcd.errors import InputError
from symmcd.report.spread import spread

SUN = "protocol,judge,hull,threshold,n,sun,sun_low,sun_high,rms_displacement_median,draw\n"


@pytest.fixture
def runs(tmp_path):
    """Three of them; the last could not measure one number."""
    values = [(97.25, 31.5, 0.11), (96.0, 28.25, 0.12), ("", 33.0, 0.10)]
    for seed, (validity, sun, moved) in enumerate(values):
        folder = tmp_path / f"seed{seed}"
        (folder / "metrics").mkdir(parents=True)
        (folder / "metrics/summary.csv").write_text(
            f"metric,protocol,value,low,high,n,note\nvalidity,strict,{validity},1,2,100,of all\n"
        )
        rows = f"stable,chgnet,chgnet,0.1,100,{sun},1,2,{moved},all\nstable,chgnet,chgnet,0.1,50,1,1,2,1,1\n"
        (folder / "sun.csv").write_text(SUN + rows)
    return [tmp_path / f"seed{seed}" for seed in range(3)]


def test_mean_and_deviation_are_those_of_numpy(runs, tmp_path):
    output = tmp_path / "seeds.csv"
    assert main(["spread", *map(str, runs), "--output", str(output)]) == 0
    with output.open(newline="") as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"validity", "sun", "rms_displacement_median"}, "no limits, no counts, no single draws"
    sun = np.array([31.5, 28.25, 33.0])
    found = [float(rows["sun"][name]) for name in ("mean", "standard_deviation", "lowest", "highest")]
    assert found == pytest.approx([sun.mean(), sun.std(ddof=1), sun.min(), sun.max()], rel=1e-5)
    assert [float(rows["sun"][f"seed{seed}"]) for seed in range(3)] == pytest.approx(sun)
    assert (rows["sun"]["protocol"], rows["sun"]["judge"], rows["sun"]["threshold"]) == ("stable", "chgnet", "0.1")
    assert rows["validity"]["runs"] == "2"
    assert rows["validity"]["seed2"] == ""
    assert float(rows["validity"]["mean"]) == pytest.approx(96.625)


def test_one_run_has_no_deviation(runs):
    assert {row["standard_deviation"] for row in spread(runs[:1])} == {""}


def test_what_is_refused(runs, tmp_path):
    with pytest.raises(InputError, match="two runs have the same name"):
        spread([runs[0], runs[0]])
    (runs[1] / "sun.csv").write_text((runs[1] / "sun.csv").read_text()[:-3])
    with pytest.raises(InputError, match=r"seed1/sun\.csv, row 2"):
        spread(runs)
    with pytest.raises(InputError, match=r"no such file; run `symmcd summarise` first"):
        spread([tmp_path / "nowhere"])
