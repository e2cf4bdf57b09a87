"""Stage ``surrogate``: relaxed energies above the hull → a model that predicts them before there is a geometry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from symmcd.command import Parser

EXAMPLE = "results/crystals/units.npz --hull results/hull.csv --output stability.safetensors"
SIZES = (250, 500, 1000, 2000, 4000, 8000, 16000)  # numbers of labels of the learning curve


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument(
        "crystals",
        type=Path,
        nargs="+",
        help="units.npz of `symmcd replicate`, one for each round",
    )
    text = "hull.csv of `symmcd hull`, one for each units.npz; the first judge and hull in it count"
    parser.add_argument("--hull", type=Path, nargs="+", required=True, metavar="FILE", help=text)
    text = "denoiser.safetensors that drew the crystals, or mp20 (default: the shipped weights, mp20)"
    parser.add_argument("--checkpoint", metavar="FILE", help=text)
    text = "hull of known materials: reference.csv of `symmcd reference` (default: MP-20's materials)"
    parser.add_argument("--reference", type=Path, metavar="FILE", help=text)
    text = "splits of MP-20 whose materials make that hull (default: train val test)"
    parser.add_argument("--splits", default="train,val,test", metavar="A,B", help=text)
    parser.add_argument(
        "--no-curve",
        dest="curve",
        action="store_false",
        help="do not measure how the error depends on the number of labels",
    )
    parser.add_output("the fitted model, safetensors")
    parser.add_seed()
    parser.add_device()


def run(
    crystals: list[Path],
    hull: list[Path],
    output: Path,
    checkpoint: str | None = None,
    reference: Path | None = None,
    splits: str = "train,val,test",
    curve: bool = True,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Fit a stability model, write it with its card, and print how good it is on compositions that it has not seen.

    The first of several `crystals` should have the distribution of the generator, because held-out labels are measured
    on these alone as well.

    Raises:
        InputError: a missing or damaged file, files of different runs, too few crystals, or no LightGBM.
    """
    from symmcd.diffusion.abilities import weights_path
    from symmcd.diffusion.generator import Generator
    from symmcd.diffusion.pretrained import SHIPPED
    from symmcd.provenance import git_commit
    from symmcd.stability_model.fitting import check_library, fit, learning_curve
    from symmcd.stability_model.known_hull import known_hull
    from symmcd.stability_model.labels import labels_of, read_runs

    check_library()
    runs = read_runs(crystals, hull)
    known = known_hull(reference, splits)
    weights = weights_path(str(checkpoint or SHIPPED))
    generator = Generator.load(weights, device)
    labels = labels_of(runs, generator.log_probability, known.hull)
    about = {
        "judge": runs[0].energies.judge, "hull": runs[0].energies.hull, "labels": len(labels),
        "label_rounds": [one.shares() for one in runs], "left_out": sum(one.energies.left_out for one in runs),
        "hull_of_features": known.name, "weights_sha256": generator.sha256,
        "commit": git_commit(),
    }  # fmt: skip
    first = len(runs[0].energies.row)
    model = fit(labels, seed, about, first)
    if curve:
        model = replace(model, card={**model.card, "learning_curve": learning_curve(labels, SIZES, seed, first)})
    model.write(output)
    print("\n".join(lines(model.card)))
    print(f"wrote {output}")


def lines(card: Mapping[str, Any]) -> list[str]:
    """Statement of the card on held-out compositions, as a table."""
    held, low_high = card["held_out"], card["held_out"]["spearman_95"]
    everything = {**held, "fitted_to": f"{card['folds'] - 1}/{card['folds']}"}
    rows = [*card.get("learning_curve", ()), everything]
    rounds = card["label_rounds"]
    of_rounds = [
        f"round {index}: {one['labels']} crystals, {one['stable_0']:.1%} <= 0, {one['stable_0.1']:.1%} <= 0.1 eV/atom"
        for index, one in enumerate(rounds)
    ]
    return [
        f"{card['labels']} crystals of {card['compositions']} compositions, {held['without_energy']} of the first "
        f"round without an energy, {card['left_out']} left out; {card['judge']} over the hull {card['hull']}",
        *(of_rounds if len(rounds) > 1 else ()),
        f"held out by composition, {card['folds']} folds{', first round' if len(rounds) > 1 else ''}: Spearman "
        f"{held['spearman']:.3f} [{low_high[0]:.3f}, {low_high[1]:.3f}]; of all {held['stable_0']:.1%} <= 0, "
        f"{held['stable_0.1']:.1%} <= 0.1",
        f"{'fitted to':>9}  Spearman   MAE  best quarter <= 0 / <= 0.1 eV/atom",
        *(
            f"{row['fitted_to']:>9}  {row['spearman']:8.3f}  {row['mae']:.3f}  "
            f"{row['quarter_stable_0']:.1%} / {row['quarter_stable_0.1']:.1%}"
            for row in rows
        ),
    ]
