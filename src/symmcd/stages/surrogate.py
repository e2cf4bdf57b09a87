"""Stage ``surrogate``: relaxed energies above the hull → a model that predicts them before there is a geometry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from symmcd.command import Parser

EXAMPLE = "results/crystals/units.npz --hull results/hull.csv --output stability.safetensors"
SIZES = (250, 500, 1000, 2000, 4000, 8000)  # of the learning curve


def arguments(parser: Parser) -> None:
    """What the command line takes."""
    parser.add_argument("crystals", type=Path, help="units.npz of `symmcd replicate`")
    text = "hull.csv of `symmcd hull`: energies of these crystals, of which the first judge and hull count"
    parser.add_argument("--hull", type=Path, required=True, metavar="FILE", help=text)
    text = "denoiser.safetensors that drew the crystals, or mp20 (default: the shipped weights, mp20)"
    parser.add_argument("--checkpoint", metavar="FILE", help=text)
    text = "hull that the model is told of, reference.csv of `symmcd reference` (default: MP-20's materials)"
    parser.add_argument("--reference", type=Path, metavar="FILE", help=text)
    text = "splits of MP-20 whose materials make that hull (default: train val test)"
    parser.add_argument("--splits", default="train,val,test", metavar="A,B", help=text)
    parser.add_output("the fitted model, safetensors")
    parser.add_seed()
    parser.add_device()


def run(
    crystals: Path,
    hull: Path,
    output: Path,
    checkpoint: str | None = None,
    reference: Path | None = None,
    splits: str = "train,val,test",
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Fit a stability model, write it with its card, and print what it is worth on compositions it has not seen.

    Raises:
        InputError: a missing or damaged file, files of different runs, too few crystals, or no LightGBM.
    """
    from symmcd.crystallography import content
    from symmcd.diffusion.abilities import weights_path
    from symmcd.diffusion.generator import Generator
    from symmcd.diffusion.pretrained import SHIPPED
    from symmcd.provenance import git_commit
    from symmcd.stability_model.features import features
    from symmcd.stability_model.fitting import Labels, check_library, fit, learning_curve
    from symmcd.stability_model.known_hull import known_hull
    from symmcd.stability_model.labels import read_energies
    from symmcd.storage import read_units

    check_library()
    units = read_units(crystals)
    energies = read_energies(hull, units, crystals)
    known = known_hull(reference, splits)
    weights = weights_path(str(checkpoint or SHIPPED))
    chosen = units.take(energies.row)
    log_probability = Generator.load(weights, device).log_probability(chosen)
    labels = Labels(features(chosen, log_probability, known.hull), energies.energy, content.formulas(chosen))
    about = {
        "judge": energies.judge, "hull": energies.hull, "labels": len(labels), "left_out": energies.left_out,
        "hull_of_features": known.name, "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "commit": git_commit(),
    }  # fmt: skip
    model = fit(labels, seed, about)
    model = replace(model, card={**model.card, "learning_curve": learning_curve(labels, SIZES, seed)})
    model.write(output)
    print("\n".join(lines(model.card)))
    print(f"wrote {output}")


def lines(card: Mapping[str, Any]) -> list[str]:
    """What the card says of held-out compositions, as a table."""
    held, low_high = card["held_out"], card["held_out"]["spearman_95"]
    head = f"{'fitted to':>9}  Spearman   MAE  best quarter <= 0 / <= 0.1 eV/atom"
    rows = [*card["learning_curve"], {**held, "fitted_to": f"{card['folds'] - 1}/{card['folds']}"}]
    return [
        f"{card['labels']} crystals of {card['compositions']} compositions, {held['without_energy']} without an "
        f"energy, {card['left_out']} left out; {card['judge']} over the hull {card['hull']}",
        f"held out by composition, {card['folds']} folds: Spearman {held['spearman']:.3f} "
        f"[{low_high[0]:.3f}, {low_high[1]:.3f}]; of all {held['stable_0']:.1%} <= 0, {held['stable_0.1']:.1%} <= 0.1",
        head,
        *(
            f"{row['fitted_to']:>9}  {row['spearman']:8.3f}  {row['mae']:.3f}  "
            f"{row['quarter_stable_0']:.1%} / {row['quarter_stable_0.1']:.1%}"
            for row in rows
        ),
    ]
