"""Train DimeNet++ on asymmetric units with formation energies, and measure its error on the test set."""

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
from symmcd.diffusion.checkpoint import data_sha256
from symmcd.diffusion.distributed import Process
from symmcd.diffusion.optimisation import Optimisation
from symmcd.diffusion.random_streams import mixed_seed
from symmcd.diffusion.training import minimise
from symmcd.errors import InputError, SymmcdError
from symmcd.formation_energy import cdvae
from symmcd.formation_energy.graphs import Graphs, build_graphs
from symmcd.formation_energy.network import DimeNetPlusPlus, Size
from symmcd.formation_energy.objective import EnergyObjective, energies
from symmcd.formation_energy.predictor import BATCH, Predictor, predict, read_metadata, write_predictor
from symmcd.journal import Progress
from symmcd.metrics.intervals import bootstrap
from symmcd.metrics.published import of_symmcd
from symmcd.provenance import git_commit
from symmcd.settings import PREDICTOR_VARIANTS, PredictorSettings
from symmcd.storage import atomic_path

PROPERTY = "formation_energy_per_atom"
NOT_OF_A_TRAINING = ("variants", "d_e", "cdvae", "checkpoint_minutes")


def train_predictor(
    sets: dict[str, AsymmetricUnits],
    output: Path,
    settings: PredictorSettings,
    seed: int,
    device: torch.device,
    variant: str,
) -> None:
    """Train one predictor and write it into the folder `output`, unless it is there already.

    Args:
        sets: the crystals of ``train``, ``val`` and ``test``; those without `PROPERTY` are left out, and where none is
            left the predictor is written without weights, with the reason.
        output: gets ``{variant}.safetensors``, ``.json`` and ``_test.csv``.
        settings: network and training, kept in the file.
        seed: of weights, batches and the crystals drawn.
        device: to train on.
        variant: one of `PREDICTOR_VARIANTS`.

    Raises:
        InputError: no crystal of a set has a graph.
        SymmcdError: the loss or a prediction became infinite or NaN.
    """
    path = output / f"{variant}.safetensors"
    digest = _settings_hash(sets, settings, seed, variant)
    if path.exists() and read_metadata(path).get("fingerprint") == digest:
        print(f"{path}: trained already")
        return
    metadata: dict[str, Any] = {
        "variant": variant, "fingerprint": digest, "published": float(of_symmcd(variant)), "seed": seed,
        "device": device.type, "settings": dataclasses.asdict(settings), **_provenance(sets),
    }  # fmt: skip
    known = {name: _with_energies(units) for name, units in sets.items()}
    lacking = [name for name, units in known.items() if not len(units)]
    if lacking:
        metadata |= {"absent": f"no formation energies in this data set ({', '.join(lacking)})"}
        _write(output, {}, metadata)
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
            print(f"{name}: {len(reasons)} crystals without a graph were left out ({', '.join(sorted(set(reasons)))})")
        if not len(rows):
            raise InputError(f"no crystal of the {name} set has a graph ({', '.join(sorted(set(reasons)))})")
        known[name], graphs[name] = units.take(rows), found.to(device)
    target = {name: torch.from_numpy(units.properties[PROPERTY].astype(np.float32)) for name, units in known.items()}
    torch.manual_seed(mixed_seed(seed, PREDICTOR_VARIANTS.index(variant)))
    objective = EnergyObjective(
        size, site_symmetry, graphs["train"], graphs["val"], target["train"].to(device), target["val"].to(device)
    )
    weights, done = minimise(objective, output / variant, _optimisation(settings), seed, digest, Process())
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
    table = output / f"{variant}_test.csv"
    with atomic_path(table) as temporary:
        pd.DataFrame(columns).to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    print(f"wrote {table} ({len(predicted)} crystals)")
    _write(output, weights, metadata)


def take_cdvae(test: AsymmetricUnits, output: Path, folder: Path, seed: int) -> None:
    """CDVAE's weights as a predictor of ours, with its error on the test set as our graphs have it."""
    weights, checksum = cdvae.read_cdvae(folder)
    path = output / "cdvae.safetensors"
    digest = f"{checksum} {_settings_hash({'test': test}, PredictorSettings(), seed, 'cdvae')}"
    if path.exists() and read_metadata(path).get("fingerprint") == digest:
        print(f"{path}: exists already")
        return
    metadata: dict[str, Any] = {
        "variant": "cdvae", "fingerprint": digest, "checkpoint_sha256": checksum,
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
        print(f"test: {(~there).sum()} crystals without bonds were left out")
        metadata |= mean_absolute_error(found[there], known.properties[PROPERTY][there], seed)
    _write(output, weights, metadata)


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
    """Mean absolute error of energies per atom (n,), eV, with its 95 % interval (± 1.96 bootstrap standard errors)."""
    error = np.abs(predicted - known)
    low, high = bootstrap(np.mean, error, seed)
    return {"mae": float(error.mean()), "low": low, "high": high, "n": len(error)}


def _write(output: Path, weights: dict[str, Any], metadata: dict[str, Any]) -> None:
    """Write the predictor, and its description as a readable file."""
    path = output / f"{metadata['variant']}.safetensors"
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
    """Return whether a variant's graph is of the asymmetric unit, and whether nodes know their site symmetry."""
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


def _optimisation(settings: PredictorSettings) -> Optimisation:
    return Optimisation(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        gradient_norm=settings.gradient_norm,
        ema_decay=settings.ema_decay,
        validate_every=max(1, settings.epochs // 10),
        checkpoint_minutes=settings.checkpoint_minutes,
    )


def _settings_hash(sets: dict[str, AsymmetricUnits], settings: PredictorSettings, seed: int, variant: str) -> str:
    """Hash of everything that the weights and their error depend on."""
    kept = {k: v for k, v in dataclasses.asdict(settings).items() if k not in NOT_OF_A_TRAINING}
    digest = hashlib.sha256(json.dumps([kept, seed, variant], sort_keys=True).encode())
    for units in sets.values():
        digest.update(data_sha256(units).encode())
        digest.update(np.asarray(units.properties.get(PROPERTY, np.zeros(0)), "<f8").tobytes())
    return digest.hexdigest()
