"""Stage ``choose``: all drafts → those that a stability model finds most stable, for `symmcd sample` to complete."""

from __future__ import annotations

import sys
from pathlib import Path

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.settings import SamplingSettings, path_of

EXAMPLE = "results/drafts/shard*.npz --output results/drafts/chosen.npz --set sampling.oversample=20"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    parser.add_argument(
        "drafts", type=Path, nargs="+", metavar="DRAFTS", help="drafts of all shards, of `symmcd draft`"
    )
    parser.add_output("chosen drafts, npz")
    parser.add_settings("sampling")


def run(drafts: list[Path], output: Path, settings: SamplingSettings) -> None:
    """Choose `settings.number` of the drafts as `symmcd.stability_model.choosing` says.

    Raises:
        InputError: drafts that cannot be used or are not all that the settings ask for, no stability model, or too few
            that may be chosen.
    """
    from symmcd.diffusion.constraints.constraint import read_constraints
    from symmcd.diffusion.draft_files import DraftFile, read_together
    from symmcd.diffusion.pool import pool_size
    from symmcd.diffusion.stable import chosen_of
    from symmcd.stability_model.known_hull import known_hull
    from symmcd.stability_model.model import StabilityModel

    asked = read_constraints(settings.constraints)
    model = StabilityModel.read(_model(settings))
    known = path_of(settings.known) if settings.known else None
    if known and not known.is_file():
        raise InputError(f"{known}: no such file (sampling.known); `symmcd reference` writes one")
    leave_out = _left_out(settings)
    hull = known_hull(known).hull
    every = read_together(drafts)
    wanted = settings.oversample * pool_size(settings.number, asked)
    if settings.oversample == 1 or every.drafts.number.tolist() != list(range(wanted)):
        raise InputError(
            f"{drafts[0]} …: {len(every.drafts)} drafts, and the settings ask for {wanted}, {settings.oversample} for "
            "each crystal: give all shards of `symmcd draft`, drawn with the same settings"
        )
    chosen, choice = chosen_of(
        every.drafts, settings.number, settings.oversample, model, hull, asked, leave_out, every.weights
    )
    print(choice.sentence(), file=sys.stderr)
    DraftFile(chosen, every.weights, choice.best_of).write(output)
    print(f"wrote {output} ({len(chosen)} of {choice.drawn} drafts)")


def _model(settings: SamplingSettings) -> Path:
    """File of the stability model.

    Raises:
        InputError: one that is not there.
    """
    from symmcd.stability_model.model import SHIPPED, model_path

    name = settings.stability_model
    if name == "fit":
        raise InputError(
            "sampling.stability_model = fit: only the workflow (Snakemake) can fit it; give a single stage its file, "
            "results/stability_model/round3/model.safetensors"
        )
    return model_path(name if name == SHIPPED else path_of(name))


def _left_out(settings: SamplingSettings) -> list[str | Path]:
    """Splits by their names, and files, of which each is there."""
    from symmcd.stability_model.materials import SPLITS

    found = [name if name in SPLITS else path_of(name) for name in settings.leave_out]
    for path in found:
        if isinstance(path, Path) and not path.is_file():
            raise InputError(f"{path}: no such file (sampling.leave_out), nor one of {', '.join(SPLITS)}")
    return found
