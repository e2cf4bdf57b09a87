"""``symmcd predict``: crystals that a composition may form, the likeliest first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from symmcd import command
from symmcd.errors import InputError
from symmcd.request import GenerationRequest, add_how, add_what
from symmcd.settings import Count

if TYPE_CHECKING:
    from symmcd.diffusion.batches import Batch
    from symmcd.diffusion.progress import StepProgress

EXAMPLE = "LiFePO4 --number 20 --output lifepo4/"


def arguments(parser: command.Parser) -> None:
    """What the command line takes."""
    parser.add_argument("formula", help="composition, as LiFePO4")
    add_what(parser)
    text = "1 to 230, or a symbol as Pnma (default: any)"
    parser.add_argument("--space-group", metavar="G", help=text)
    text = "in the primitive cell (default: any number of formula units)"
    parser.add_argument("--atoms", type=command.number(Count), metavar="N", help=text)
    add_how(parser)


def run(
    output: Path,
    formula: str,
    number: int,
    space_group: int | str | None = None,
    checkpoint: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    steps: int | None = None,
    proposals: int | None = None,
    atoms: int | None = None,
) -> None:
    """Crystals of one composition, written as by `symmcd generate`; crystals.csv says how likely each is.

    `atoms` are those of the primitive cell; see `Generator.predict` for the rest.  An interrupt leaves those that are
    finished, the likeliest.

    Raises:
        InputError: no formula, no such space group, no weights, a number below 1, more atoms or other elements than the
            model knows, nothing found, or an `output` that cannot be written.
        KeyboardInterrupt: after what is finished has been written.
    """
    from symmcd.crystallography.composition import parse_formula
    from symmcd.crystallography.space_group import number_of
    from symmcd.diffusion.sampler import Sampler

    try:
        unit = parse_formula(formula)
    except InputError as error:
        raise InputError(f"{formula[:60]}: {error}") from None
    group = None if space_group is None else number_of(space_group)
    request = GenerationRequest(output, number, checkpoint, device)
    abilities = request.abilities()
    abilities.check_composition(unit, atoms)
    abilities.check(Sampler(steps=steps, proposals=proposals))
    generator, at_once = request.generator()

    def make(finished: list[Batch], progress: StepProgress) -> None:
        generator.predict(
            unit, number, group, atoms=atoms, seed=seed, steps=steps, proposals=proposals, batch_size=at_once,
            on_batch=finished.append, on_progress=lambda done, work: progress.update(done, work=work),
        )  # fmt: skip

    made = request.fulfil(make)
    if made < number:
        print(f"{made} instead of {number}: no more sets of Wyckoff positions fit {formula}")
