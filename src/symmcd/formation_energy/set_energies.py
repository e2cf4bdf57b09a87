"""Formation energies of a set of crystals and of the set that it is compared with, by the same network."""

from __future__ import annotations

from pathlib import Path

from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
from symmcd.formation_energy.predictor import predict, predict_cached, read_predictor
from symmcd.journal import Progress
from symmcd.metrics.set_summary import Predicted

NO_PREDICTOR = "no predictor of formation energies"


def predicted_energies(
    path: Path, crystals: AsymmetricUnits, reference: AsymmetricUnits, folder: Path | None
) -> Predicted:
    """Energies of both sets, eV/atom, and the error of the predictor; or why there are none.

    Args:
        path: predictor, by `symmcd predictor`.
        crystals: the set.
        reference: what it is compared with.
        folder: keeps the energies, which are found again for the same weights and crystals; None for nowhere.

    Raises:
        InputError: unreadable, or no predictor of ours.
    """
    predictor = read_predictor(path)
    if isinstance(predictor, str):
        return Predicted(f"{NO_PREDICTOR}: {predictor}")
    both = []
    for name, units in (("generated", crystals), ("reference", reference)):
        with Progress(len(units), 0, f"formation energies, {name}") as bar:
            if folder is None:
                energies = predict(predictor, units, advance=bar.advance)
            else:
                cache = folder / f"formation_energies_{name}.npz"
                energies = predict_cached(cache, path, predictor, units, bar.advance)
        both.append(energies.energy)
    of = predictor.metadata
    note = f"eV/atom, mean absolute error of the predictor of d_E ({of['variant'].replace('_', ' ')}) on the test set"
    if of["mae"] is None:
        note = f"predictor of d_E ({of['variant']}): no formation energies in the test set to tell its error"
    return Predicted(note, (both[0], both[1]), of["mae"], of["low"], of["high"], of["n"])
