"""``symmcd generate``: crystals from trained weights, as CIF and extxyz."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd import command
from symmcd.errors import InputError
from symmcd.request import GenerationRequest, add_constraints, add_how, add_what
from symmcd.settings import Oversample, Temperature

if TYPE_CHECKING:
    from symmcd.diffusion.batches import Batch
    from symmcd.diffusion.progress import StepProgress

OFTEN = 20  # drafts per crystal
EXAMPLE = "--space-group Pnma --number 100 --output crystals/"


def arguments(parser: command.Parser) -> None:
    """Declare the arguments of the command line; the constraints are those of the registry."""
    add_what(parser)
    text = "sampling temperature; above 1: more new templates, fewer valid crystals (default: 1)"
    parser.add_argument("--temperature", type=command.number(Temperature), default=1.0, metavar="T", help=text)
    add_how(parser)
    _add_choice(parser)
    add_constraints(parser)


def _add_choice(parser: command.Parser) -> None:
    """Declare ``--stable`` and the options that belong to it."""
    text = "by a model that predicts the energy above the hull before the geometry is generated"
    group = parser.add_argument_group("choosing stable crystals", text)
    text = f"draw N drafts for each crystal, keep those predicted to be most stable (N = {OFTEN} if not given)"
    group.add_argument(
        "--stable", type=command.number(Oversample), nargs="?", const=OFTEN, default=1, metavar="N", help=text
    )
    group.add_argument(
        "--stability-model",
        type=Path,
        metavar="FILE",
        help="fitted model of `symmcd surrogate` (default: the shipped one)",
    )
    text = "known materials: reference.csv of `symmcd reference` (default: MP-20's materials)"
    group.add_argument("--hull", type=Path, metavar="FILE", help=text)
    text = "known crystals to skip: splits of MP-20 or units.npz, such as train,val,mine.npz; or none (default: train)"
    group.add_argument("--leave-out", type=_splits, metavar="A,B", help=text)


def _splits(text: str) -> tuple[str, ...]:
    return () if text.strip() == "none" else tuple(name.strip() for name in text.split(","))


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
    stable: int = 1,
    stability_model: Path | None = None,
    hull: Path | None = None,
    leave_out: tuple[str, ...] | None = None,
) -> None:
    """Generate crystals; write units.npz, crystals.extxyz, crystals.csv, one CIF per crystal to the folder `output`.

    `constraints` are values by names of `symmcd.extensions.CONSTRAINTS`; see `Generator.generate` for the rest.
    After an interrupt (Ctrl-C) the crystals that are finished are written, with the numbers that they have in the whole
    set.  With `stable` above 1 they are chosen of so many times `number` drafts, and named by their place among the
    chosen.

    Raises:
        InputError: no weights, a number below 1, constraints that mean nothing or cannot be fulfilled, what the model
            cannot do, an `output` that cannot be written, or crystals to choose and nothing to choose them by.
        KeyboardInterrupt: after what is finished has been written.
    """
    from symmcd.diffusion.constraints.constraint import read_constraints, space_groups_of
    from symmcd.diffusion.sampler import Sampler

    given, request = constraints or {}, GenerationRequest(output, number, checkpoint, device)
    asked = read_constraints(given, options=True)
    space_groups_of(asked)
    if stable == 1 and (stability_model or hull or leave_out is not None):
        raise InputError("--stability-model, --hull and --leave-out need --stable; add it, or leave them out")
    leave_out = ("train",) if leave_out is None else leave_out
    abilities = request.abilities()
    abilities.check(Sampler(steps=steps, proposals=proposals, temperature=temperature, constraints=asked))
    model = None
    if stable > 1:
        from symmcd.stability_model.materials import arrangements_of
        from symmcd.stability_model.model import SHIPPED, StabilityModel, model_path

        arrangements_of(leave_out)  # before the weights are loaded
        model = StabilityModel.read(model_path(stability_model or SHIPPED))
    generator, at_once = request.generator()

    def make(finished: list[Batch], progress: StepProgress) -> None:
        how: dict[str, Any] = {"steps": steps, "proposals": proposals, "batch_size": at_once}
        how |= {"on_batch": finished.append, "on_progress": lambda done, work: progress.update(done, work=work)}
        what: dict[str, Any] = {"seed": seed, "temperature": temperature, **given}
        if stable == 1:
            generator.generate(number, **how, **what)
            return
        drafts, choice = generator.draft_stable(number, stable, model, hull=hull, leave_out=leave_out, **what)
        print(choice.sentence(), file=sys.stderr)
        generator.with_geometries(drafts, **how)

    request.fulfil(make, model.best_of(stable) if model is not None else None)
