"""``symmcd generate``: crystals from trained weights, as CIF and extxyz."""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd import command
from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS
from symmcd.request import GenerationRequest, add_how, add_what
from symmcd.settings import Temperature

if TYPE_CHECKING:
    from symmcd.diffusion.batches import Batch
    from symmcd.diffusion.progress import StepProgress

EXAMPLE = "--space-group Pnma --number 100 --output crystals/"


def arguments(parser: command.Parser) -> None:
    """What the command line takes; the constraints are those of the registry."""
    add_what(parser)
    text = "above 1: more new templates, fewer valid crystals (default: 1)"
    parser.add_argument("--temperature", type=command.number(Temperature), default=1.0, metavar="T", help=text)
    add_how(parser)
    parser.add_moved("--formula", "crystals of a composition are made by `symmcd predict FORMULA`")
    parser.add_moved("--atoms", "it goes with `symmcd predict FORMULA`")
    text = "crystals are as frequent as without them, if they fulfil all"
    group = parser.add_gathered("constraints", text, CONSTRAINTS)
    for name in CONSTRAINTS:
        option = f"--{name.replace('_', '-')}"
        try:
            kind = CONSTRAINTS[name]
        except InputError as error:  # of a package that is broken: no matter to who does not ask for it
            parser.add_unusable(group, option, str(error))
            continue
        value: dict[str, Any] = {"metavar": kind.metavar} if kind.metavar else {"action": "store_true"}
        try:
            group.add_argument(option, dest=name, **value, help=kind.help.replace("%", "%%"))
        except ArgumentError:
            raise InputError(
                f"constraint {name!r}: `symmcd generate` has an option {option} already; uninstall the package that "
                "offers it, or have it call it by another name"
            ) from None


def run(
    output: Path,
    number: int,
    checkpoint: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    *,
    steps: int | None = None,
    proposals: int | None = None,
    temperature: float = 1.0,
    constraints: Mapping[str, Any] | None = None,
) -> None:
    """Generate crystals; write units.npz, crystals.extxyz, crystals.csv, one CIF a crystal to the folder `output`.

    `constraints` are values by names of `symmcd.extensions.CONSTRAINTS`; see `Generator.generate` for the rest.
    After an interrupt (Ctrl-C) the crystals that are finished are written, with the numbers that they have in the whole
    set.

    Raises:
        InputError: no weights, a number below 1, constraints that mean nothing or cannot be fulfilled, what the model
            cannot do, or an `output` that cannot be written.
        KeyboardInterrupt: after what is finished has been written.
    """
    from symmcd.diffusion.constraints.constraint import read_constraints, space_groups_of
    from symmcd.diffusion.sampler import Sampler

    given, request = constraints or {}, GenerationRequest(output, number, checkpoint, device)
    asked = read_constraints(given, options=True)
    space_groups_of(asked)
    abilities = request.abilities()
    abilities.check(Sampler(steps=steps, proposals=proposals, temperature=temperature, constraints=asked))
    generator, at_once = request.generator()

    def make(finished: list[Batch], progress: StepProgress) -> None:
        generator.generate(
            number, seed=seed, steps=steps, proposals=proposals, temperature=temperature, batch_size=at_once,
            on_batch=finished.append, on_progress=lambda done, work: progress.update(done, work=work), **given,
        )  # fmt: skip

    request.fulfil(make)
