"""A results folder in the formats of docs/architecture.md, made of textbook crystals and invented numbers."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
from symmcd.crystallography.orbit import replicate_flat
from symmcd.stability.doubts import DISAGREE
from symmcd.stability.judges import with_all_judges, with_doubts_of_all
from symmcd.stability.sun import judged, stable_ones
from symmcd.stability.sun_comparison import Comparison
from symmcd.storage import read_units, write_units
from symmcd.structures.write import cifs, write_zip

HEXAGONAL = [[3.6, 0, 0], [-1.8, 1.8 * 3**0.5, 0], [0, 0, 5.03]]
KINDS = [
    (225, 5.64 * np.eye(3), "ab", [(0, 0, 0), (0.5, 0.5, 0.5)]),
    (221, 4.12 * np.eye(3), "ab", [(0, 0, 0), (0.5, 0.5, 0.5)]),
    (221, 3.9 * np.eye(3), "abc", [(0, 0, 0), (0.5, 0.5, 0.5), (0, 0.5, 0.5)]),
    (194, HEXAGONAL, "ac", [(0, 0, 0), (1 / 3, 2 / 3, 0.25)]),
    (136, np.diag([4.59, 4.59, 2.96]), "af", [(0, 0, 0), (0.305, 0.305, 0)]),
    (139, np.diag([4.0, 4.0, 13.1]), "ace", [(0, 0, 0), (0, 0.5, 0), (0, 0, 0.36)]),
    (62, np.diag([6.1, 3.7, 7.0]), "cc", [(0.02, 0.25, 0.18), (0.14, 0.25, 0.56)]),
]
ELEMENTS = [3, 8, 9, 11, 12, 14, 16, 17, 19, 22, 26, 29, 38, 56, 57, 82]


def make_units(number, seed, kinds=KINDS):
    rng = np.random.default_rng(seed)
    units = []
    for _ in range(number):
        group, lattice, letters, points = kinds[rng.integers(len(kinds))]
        element = rng.choice(ELEMENTS, len(letters), replace=False)
        units.append(AsymmetricUnit(group, np.array(lattice) * rng.uniform(0.9, 1.1), element, tuple(letters), points))
    return AsymmetricUnits.from_units(units)


def make_results(folder, number=60, seed=3):
    """Write a whole results folder; returns it."""
    rng = np.random.default_rng(seed)
    units = make_units(number, seed)
    for split, size in (("train", 120), ("val", 30), ("test", 30)):
        write_units(folder / f"asymmetric_units/{split}.npz", make_units(size, size, KINDS[:-2]))
    write_units(folder / "crystals/units.npz", units)
    (folder / "raw").mkdir()
    (folder / "raw/source.json").write_text(json.dumps({"source": "prototypes", "rows": {"train": 120}}))
    training = folder / "training/seed0"
    training.mkdir(parents=True)
    about = {
        "device": "cpu",
        "commit": "abc1234",
        "seed": 0,
        "model": {"kind": "staged", "width": 64, "layers": 3, "steps": 100},
    }
    weights = {"weights/a": np.zeros((2, 3), np.float32), "statistics/b": np.zeros(5, np.float32)}
    save_file(weights, training / "denoiser.safetensors", {"symmcd": json.dumps(about)})
    epoch = np.arange(1, 21)
    losses = {"epoch": epoch, "seconds": np.full(20, 1.5)}
    for component in ("wyckoff", "element", "lattice", "position"):
        losses[f"train_{component}"] = 3 * np.exp(-epoch / 6) + 0.2
        losses[f"val_{component}"] = np.where(epoch % 5 == 0, 3.1 * np.exp(-epoch / 6) + 0.25, np.nan)
    pd.DataFrame(losses).to_csv(training / "losses.csv", index=False)
    write_tables(folder, units, rng)
    for rule, jobs in (("train", 1), ("relax", 3)):
        for job in range(jobs):
            path = folder / f"benchmarks/{rule}/{job}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("s\th:m:s\tmax_rss\tcpu_time\n12.5\t0:00:12\t512.0\t11.0\n")
    return folder


def write_tables(folder, units, rng):
    number = len(units)
    (folder / "metrics").mkdir()
    (folder / "relaxed").mkdir()
    identity = {"id": units.label}
    pd.DataFrame(
        identity
        | {
            "structurally_valid": rng.random(number) < 0.9,
            "compositionally_valid": rng.random(number) < 0.8,
            "space_group_found": units.space_group,
        }
    ).to_csv(folder / "metrics/per_crystal.csv", index=False)
    metrics = {
        ("structural_validity", "paper"): 91.234,
        ("structural_validity", "strict"): 89.871,
        ("compositional_validity", "paper"): 81.3,
        ("validity", "paper"): 77.7,
        ("coverage_recall", "paper"): 88.8,
        ("coverage_precision", "paper"): 92.6,
        ("group_kept", "strict"): 99.9,
        ("templates_unique", "paper"): 17,
        ("templates_in_train", "paper"): 64.7,
        ("templates_new", "paper"): 6,
        ("prototype_novelty", "strict"): 41.5,
        ("prototype_novelty_valid", "strict"): 38.25,
        ("density_wasserstein", "paper"): 0.6543,
        ("element_count_wasserstein", "paper"): 0.3217,
        ("space_group_jsd", "paper"): 0.2345,
        ("space_group_jsd", "strict"): 0.2678,
        ("space_group_jsd", "paper_floor"): 0.1543,
    }
    rows = [
        {
            "metric": metric,
            "protocol": protocol,
            "value": v,
            "low": 0.9 * v,
            "high": 1.07 * v,
            "n": number,
            "note": "so",
        }
        for (metric, protocol), v in metrics.items()
    ]
    counted = ("templates_unique", "templates_new")  # counts have no interval
    rows = [row | ({"low": None, "high": None} if row["metric"] in counted else {}) for row in rows]
    pd.DataFrame(rows).to_csv(folder / "metrics/summary.csv", index=False)
    status = np.where(rng.random(number) < 0.8, "converged", "step_limit").astype(object)
    status[:2] = "failed:isolated_atoms"
    failed = status == "failed:isolated_atoms"
    initial = np.where(failed, np.nan, rng.gamma(2, 0.3, number) - 0.05)
    relaxed = initial * rng.uniform(0.2, 0.9, number)
    group = pd.Series(units.space_group, dtype="Int64").mask(pd.Series(failed))
    table = {"status": status, "formula": "NaN", "space_group_relaxed": group}
    pd.DataFrame(identity | table).to_csv(folder / "relaxed/relaxed.csv", index=False)
    above = {"hull": "chgnet", "formula": "NaN", "e_above_hull_initial": initial, "e_above_hull_relaxed": relaxed}
    pd.DataFrame(identity | above).to_csv(folder / "hull.csv", index=False)
    rates = {"initially_stable": 3.21, "relaxed_stable": 12.34, "stable_unique": 11.9, "stable_novel": 8.8, "sun": 7.89}
    rows = [
        {"protocol": "metastable" if t else "paper", "hull": "chgnet", "threshold": t, "n": number}
        | {
            f"{k}{end}": v * (1 + t) * f
            for k, v in rates.items()
            for end, f in (("", 1), ("_low", 0.6), ("_high", 1.5))
        }
        for t in (0.0, 0.1)
    ]
    pd.DataFrame(rows).to_csv(folder / "sun.csv", index=False)
    flags = {f"sun_at_{t:g}": relaxed <= t for t in (0.0, 0.1)}
    flags["doubts"] = np.where(np.arange(number) % 3 == 0, "moved", "")
    judged = pd.DataFrame(identity | above | flags)
    judged.to_csv(folder / "sun_per_crystal.csv", index=False)
    found = judged[judged["sun_at_0.1"]].assign(space_group=units.space_group[judged["sun_at_0.1"]])
    found = found.assign(space_group_relaxed=found["space_group"], e_above_hull=found["e_above_hull_relaxed"])
    found = found.sort_values(["doubts", "e_above_hull"])
    columns = ["id", "formula", "space_group", "space_group_relaxed", "e_above_hull", "hull", "doubts", "file"]
    write_candidate_cifs(folder, found, units)[columns].to_csv(folder / "candidates.csv", index=False)


def write_candidate_cifs(folder, found, units):
    """Write candidates.zip; the table with the names of its files."""
    rows = [units.label.tolist().index(name) for name in found["id"]]
    files = list(cifs(replicate_flat(units.take(rows)), units.take(rows))) if rows else []
    write_zip(folder / "candidates.zip", files)
    return found.assign(file=[name for name, _ in files])


JUDGES = ("chgnet", "sevennet-0")
DFT = "table mp.csv"


def make_judged_results(folder, number=60, draws=3, judges=JUDGES):
    """A results folder in which several potentials judge, each over its own hull and over one of DFT energies.

    Energies are invented; what all judges say, and the rates, are made of them by the code of the stage.  The second
    judge has no energy of the third crystal.
    """
    make_results(folder, number)
    rng = np.random.default_rng(8)
    first = pd.read_csv(folder / "hull.csv", dtype={"id": str}, keep_default_na=False, na_values=[""])
    first = first.assign(status="converged", elements=2).drop(columns="hull")
    first["e_above_hull_relaxed"] = 0.5 * first["e_above_hull_relaxed"] - 0.05
    if draws:
        first["draw"] = np.arange(number) % draws + 1
    parts = []
    for place, judge in enumerate(judges):
        error = place * rng.normal(0.01, 0.06, number)
        for hull, shift in ((DFT, 0.03), (judge, 0.0)):
            energies = first["e_above_hull_relaxed"] + shift + error
            part = first.assign(judge=judge, hull=hull, e_above_hull_relaxed=energies)
            if place:
                part = part.assign(e_above_hull_initial=np.nan)
                part.loc[2, ["e_above_hull_relaxed", "status"]] = np.nan, "failed:KeyError"
            parts.append(part)
    hull = pd.concat(parts).sort_values("id", kind="stable", ignore_index=True)
    columns = ["id", "judge", "hull", "status", "formula", "e_above_hull_initial", "e_above_hull_relaxed"]
    hull[[*columns, *(["draw"] if draws else [])]].to_csv(folder / "hull.csv", index=False)
    table = with_all_judges(hull)
    spread = table["judges_spread"] if "judges_spread" in table else np.zeros(len(table))
    table["doubts"] = np.where(spread > DISAGREE, "judges_disagree", "")
    table = with_doubts_of_all(table)
    names = stable_ones(table, 0.1, 2)
    known_as = {name: "mp-1" if int(name) % 4 == 1 else None for name in names}
    comparison = Comparison(known_as, {}, {}, dict.fromkeys)
    per_crystal, rates = judged(table, comparison, (0.0, 0.1), 2, with_known=False)
    per_crystal.to_csv(folder / "sun_per_crystal.csv", index=False)
    rates.to_csv(folder / "sun.csv", index=False)
    _write_candidates(folder, per_crystal, judges)


def _write_candidates(folder, per_crystal, judges):
    of = {key: part.set_index("id") for key, part in per_crystal.groupby(["judge", "hull"])}
    found = of[judges[0], DFT]
    found = found[found["sun_at_0.1"]].assign(hull=DFT, space_group=225, space_group_relaxed=225)
    found = found.assign(e_above_hull=found["e_above_hull_relaxed"])
    found = write_candidate_cifs(folder, found.reset_index(), read_units(folder / "crystals/units.npz"))
    columns = ["id", "formula", "space_group", "space_group_relaxed", "e_above_hull", "hull", "doubts", "file"]
    if len(judges) > 1:
        for judge in judges:
            found[f"e_above_hull_{judge}"] = found["id"].map(of[judge, DFT]["e_above_hull_relaxed"])
        found["sun_by_all"] = found["id"].map(of["all", DFT]["sun_at_0.1"])
        found["judges_spread"] = found["id"].map(of["all", DFT]["judges_spread"])
        columns += [*(f"e_above_hull_{judge}" for judge in judges), "judges_spread", "sun_by_all"]
    found.sort_values(["doubts", "e_above_hull"])[columns].to_csv(folder / "candidates.csv", index=False)
