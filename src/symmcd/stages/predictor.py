"""Stage ``predictor``: asymmetric units with formation energies → trained DimeNet++, and the paper's Table 5."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch_geometric

from symmcd import __version__
from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.device import choose_device, hold_gpu
from symmcd.diffusion.checkpoint import data_sha256
from symmcd.diffusion.distributed import Process
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.training import minimise
from symmcd.errors import InputError, SymmcdError
from symmcd.formation_energy import cdvae
from symmcd.formation_energy.graphs import Graphs, build_graphs
from symmcd.formation_energy.network import DimeNetPlusPlus, Size
from symmcd.formation_energy.objective import EnergyObjective, energies
from symmcd.formation_energy.predictor import BATCH, Predictor, predict, read_metadata, write_predictor
from symmcd.metrics.intervals import bootstrap
from symmcd.metrics.published import PUBLISHED_5, table_5
from symmcd.one_writer import one_writer
from symmcd.provenance import git_commit
from symmcd.settings import PREDICTOR_VARIANTS, PredictorSettings, TrainingSettings, path_of
from symmcd.stability.journal import Progress
from symmcd.storage import atomic_path, read_units

PROPERTY = "formation_energy_per_atom"
NOT_OF_A_TRAINING = ("variants", "d_e", "cdvae", "checkpoint_minutes")
COLUMNS = ("variant", "mae", "low", "high", "n", "published", "train_crystals", "epochs", "minutes", "note")
PUBLISHED: dict[str, float | None] = dict(
    zip(PREDICTOR_VARIANTS, next(iter(PUBLISHED_5.values())), strict=True)
)  # eV/atom


def run(
    train: Path,
    val: Path,
    test: Path,
    output_dir: Path,
    settings: PredictorSettings,
    seed: int = 0,
    device: str = "auto",
    variant: str | None = None,
) -> None:
    """Train predictors that are not there yet, going on from a checkpoint; without `variant` write Table 5 too.

    Args:
        train, val, test: asymmetric units; those without ``formation_energy_per_atom`` are left out, and where none
            is left the predictor is written without weights, with the reason.
        output_dir: gets ``{variant}.safetensors``, ``.json`` and ``_test.csv``, and ``table5.csv``, ``.md``, ``.tex``.
        settings: network, training, and which variants.
        seed: of weights, batches and the crystals drawn.
        device: auto, cuda or cpu.
        variant: make this one alone; ``cdvae`` reads CDVAE's weights from the folder in the settings.

    Raises:
        InputError: unreadable data, no CUDA device, or another process that trains the same predictor.
        SymmcdError: the loss became infinite or NaN; the batch is saved and named.
    """
    if variant is not None and variant not in (*PREDICTOR_VARIANTS, "cdvae"):
        raise InputError(f"--variant {variant}: one of {', '.join(PREDICTOR_VARIANTS)}, or cdvae")
    sets = {"train": read_units(train), "val": read_units(val), "test": read_units(test)}
    hold_gpu(device)
    where = choose_device(device)
    every = (*settings.variants, *(["cdvae"] if settings.cdvae else []))
    for name in every if variant is None else (variant,):
        with one_writer(output_dir / f"{name}.safetensors"):
            if name == "cdvae":
                _take_cdvae(sets["test"], output_dir, path_of(settings.cdvae), seed)
            else:
                _train(sets, output_dir, settings, seed, where, name)
    if variant is None:
        write_table_5(output_dir, settings.variants)


def _train(
    sets: dict[str, AsymmetricUnits],
    output_dir: Path,
    settings: PredictorSettings,
    seed: int,
    where: torch.device,
    variant: str,
) -> None:
    """One predictor, unless it is there already."""
    path = output_dir / f"{variant}.safetensors"
    print_ = _fingerprint(sets, settings, seed, variant)
    if path.exists() and read_metadata(path).get("fingerprint") == print_:
        print(f"{path}: trained already")
        return
    metadata: dict[str, Any] = {
        "variant": variant, "fingerprint": print_, "published": PUBLISHED[variant], "seed": seed, "device": where.type,
        "settings": dataclasses.asdict(settings), **_provenance(sets),
    }  # fmt: skip
    known = {name: _with_energies(units) for name, units in sets.items()}
    lacking = [name for name, units in known.items() if not len(units)]
    if lacking:
        metadata |= {"absent": f"no formation energies in this data set ({', '.join(lacking)})"}
        _write(output_dir, {}, metadata)
        return
    known["train"] = _drawn(known["train"], settings.crystals, seed)
    size, (of_asymmetric_unit, site_symmetry) = Size.of(settings), _kind(variant)
    graphs: dict[str, Graphs] = {}
    for name, units in known.items():
        with Progress(len(units), 0, f"graphs of the {name} set") as progress:
            found, rows, reasons = build_graphs(
                units, of_asymmetric_unit, size.cutoff, size.neighbours, progress.advance
            )
        if reasons:
            print(f"{name}: {len(reasons)} crystals without a graph are left out ({', '.join(sorted(set(reasons)))})")
        if not len(rows):
            raise InputError(f"no crystal of the {name} set has a graph ({', '.join(sorted(set(reasons)))})")
        known[name], graphs[name] = units.take(rows), found.to(where)
    target = {name: torch.from_numpy(units.properties[PROPERTY].astype(np.float32)) for name, units in known.items()}
    torch.manual_seed(mixed_seed(seed, PREDICTOR_VARIANTS.index(variant)))
    objective = EnergyObjective(
        size, site_symmetry, graphs["train"], graphs["val"], target["train"].to(where), target["val"].to(where)
    )
    weights, done = minimise(
        objective, output_dir / variant, _training(settings), settings.epochs, seed, print_, Process()
    )
    objective.network.load_state_dict(weights)
    predicted = energies(objective.network, graphs["test"], BATCH).cpu().numpy().astype(float)
    if not np.isfinite(predicted).all():
        raise SymmcdError(f"{variant}: {(~np.isfinite(predicted)).sum()} predictions are not finite; train it again")
    metadata |= {
        "size": dataclasses.asdict(size), "of_asymmetric_unit": of_asymmetric_unit, "site_symmetry": site_symmetry,
        "train_crystals": len(known["train"]), "epochs": settings.epochs, **done,
        **mean_absolute_error(predicted, known["test"].properties[PROPERTY], seed),
    }  # fmt: skip
    columns = {"material_id": known["test"].label, PROPERTY: known["test"].properties[PROPERTY], "predicted": predicted}
    table = output_dir / f"{variant}_test.csv"
    with atomic_path(table) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    print(f"wrote {table} ({len(predicted)} crystals)")
    _write(output_dir, weights, metadata)


def _take_cdvae(test: AsymmetricUnits, output_dir: Path, folder: Path, seed: int) -> None:
    """CDVAE's weights as a predictor of ours, with its error on the test set as our graphs have it."""
    weights, checksum = cdvae.read_cdvae(folder)
    path = output_dir / "cdvae.safetensors"
    print_ = f"{checksum} {_fingerprint({'test': test}, PredictorSettings(), seed, 'cdvae')}"
    if path.exists() and read_metadata(path).get("fingerprint") == print_:
        print(f"{path}: there already")
        return
    metadata: dict[str, Any] = {
        "variant": "cdvae", "fingerprint": print_, "checkpoint_sha256": checksum,
        "size": dataclasses.asdict(cdvae.CDVAE), "site_symmetry": False, "of_asymmetric_unit": False,
        **_provenance({"test": test}), "mae": None, "low": None, "high": None, "n": 0,
    }  # fmt: skip
    known = _with_energies(test)
    if len(known):
        network = DimeNetPlusPlus(cdvae.CDVAE, site_symmetry=False)
        network.load_state_dict(weights)
        with Progress(len(known), 0, "bonds of the test set") as progress:
            found = predict(Predictor(network.eval(), False, {}), known, advance=progress.advance).energy
        there = np.isfinite(found)
        print(f"test: {(~there).sum()} crystals without bonds are left out")
        metadata |= mean_absolute_error(found[there], known.properties[PROPERTY][there], seed)
    _write(output_dir, weights, metadata)


def _provenance(sets: dict[str, AsymmetricUnits]) -> dict[str, Any]:
    return {
        "commit": git_commit(),
        "data_sha256": {name: data_sha256(units) for name, units in sets.items()},
        "versions": {
            "symmcd": __version__, "torch": torch.__version__, "torch_geometric": torch_geometric.__version__,
            "python": platform.python_version(),
        },
    }  # fmt: skip


def mean_absolute_error(predicted: np.ndarray, known: np.ndarray, seed: int) -> dict[str, float | int]:
    """Of energies per atom (n,), eV, with its 95 % interval (± 1.96 bootstrap standard errors)."""
    error = np.abs(predicted - known)
    low, high = bootstrap(np.mean, error, seed)
    return {"mae": float(error.mean()), "low": low, "high": high, "n": len(error)}


def write_table_5(output_dir: Path, variants: tuple[str, ...]) -> None:
    """table5.csv, .md and .tex of the predictors in `output_dir`; what was not trained is a row that says so."""
    rows = []
    for variant in PREDICTOR_VARIANTS:
        found = read_metadata(output_dir / f"{variant}.safetensors") if variant in variants else {}
        row: dict[str, Any] = {name: found.get(name) for name in COLUMNS}
        row |= {"variant": variant, "published": PUBLISHED[variant]}
        row["note"] = "not among predictor.variants" if variant not in variants else found.get("absent", "trained")
        row["minutes"] = round(found["seconds"] / 60, 1) if "seconds" in found else None
        rows.append(row)
    path = output_dir / "table5.csv"
    with atomic_path(path) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(
            temporary, index=False, float_format="%.6g", lineterminator="\n"
        )
    print(f"wrote {path} ({len(variants)} predictors)")
    for suffix, text in zip((".md", ".tex"), table_5(rows), strict=True):
        with atomic_path(path.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"wrote {path.with_suffix(suffix)}")


def _write(output_dir: Path, weights: dict[str, Any], metadata: dict[str, Any]) -> None:
    """The predictor, and what it says of itself as a file to read."""
    path = output_dir / f"{metadata['variant']}.safetensors"
    with atomic_path(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")
    write_predictor(path, weights, metadata)
    if metadata.get("mae") is None:
        print(f"wrote {path}: {metadata.get('absent', 'no crystals to test it on')}")
    else:
        print(
            f"wrote {path}: error {metadata['mae']:.4f} eV/atom, 95 % interval {metadata['low']:.4f} to"
            f" {metadata['high']:.4f}, {metadata['n']} test crystals"
            + (f"; published {metadata['published']}" if "published" in metadata else "")
        )


def _kind(variant: str) -> tuple[bool, bool]:
    """Whether a variant's graph is of the asymmetric unit, and whether nodes know their site symmetry."""
    return variant.startswith("asymmetric_unit"), variant.endswith("site_symmetry")


def _with_energies(units: AsymmetricUnits) -> AsymmetricUnits:
    """The crystals whose formation energy is known."""
    energy = units.properties.get(PROPERTY)
    return units.take(np.flatnonzero(np.isfinite(energy))) if energy is not None else AsymmetricUnits.empty()


def _drawn(units: AsymmetricUnits, number: int, seed: int) -> AsymmetricUnits:
    """`number` random crystals in their order, or all."""
    if not number or number >= len(units):
        return units
    return units.take(np.sort(np.random.default_rng(seed).choice(len(units), number, replace=False)))


def _training(settings: PredictorSettings) -> TrainingSettings:
    return TrainingSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        gradient_norm=settings.gradient_norm,
        ema_decay=settings.ema_decay,
        validate_every=max(1, settings.epochs // 10),
        checkpoint_minutes=settings.checkpoint_minutes,
    )


def _fingerprint(sets: dict[str, AsymmetricUnits], settings: PredictorSettings, seed: int, variant: str) -> str:
    """Hash of everything that the weights and their error depend on."""
    kept = {k: v for k, v in dataclasses.asdict(settings).items() if k not in NOT_OF_A_TRAINING}
    digest = hashlib.sha256(json.dumps([kept, seed, variant], sort_keys=True).encode())
    for units in sets.values():
        digest.update(data_sha256(units).encode())
        digest.update(np.asarray(units.properties.get(PROPERTY, np.zeros(0)), "<f8").tobytes())
    return digest.hexdigest()
