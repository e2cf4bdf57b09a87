"""Request for crystals by `symmcd generate` and `symmcd predict`: weights, number of crystals, output folder.

A request that cannot be fulfilled is refused before torch and the weights are loaded, which takes seconds.  If the user
interrupts, the finished crystals are written.
"""

from __future__ import annotations

import sys
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symmcd.command import Parser, number
from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS
from symmcd.output_folder import RESULTS, check_output_folder, remove_other_results
from symmcd.settings import Count, Few, Steps

if TYPE_CHECKING:
    import numpy as np

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
    from symmcd.crystallography.best_of import BestOf
    from symmcd.diffusion.abilities import Abilities
    from symmcd.diffusion.batches import Batch
    from symmcd.diffusion.generator import Generator
    from symmcd.diffusion.progress import StepProgress

CIF_FOLDER_LIMIT = 300  # more crystals than this go into one zip, as in the stage replicate
# crystals at once: the fewer, the more an interrupt finds finished.  On a CPU it is four times as many geometries that
# are computed together, which are as fast as more; a GPU is waiting for its next call with so few
AT_ONCE = {"cpu": 64, "cuda": 256}


def add_what(parser: Parser) -> None:
    """``--output``, ``--number``."""
    parser.add_output("folder for the CIFs, crystals.extxyz and crystals.csv", metavar="DIR")
    text = "number of crystals to generate (default: 10)"
    parser.add_argument("--number", type=number(Count), default=10, metavar="N", help=text)


def add_how(parser: Parser) -> None:
    """``--checkpoint``, ``--steps``, ``--proposals`` and what all commands of networks have."""
    text = "weights: denoiser.safetensors of `symmcd train`, or shipped ones: mp20 (default), mp20-stable"
    parser.add_argument("--checkpoint", metavar="FILE", help=text)
    text = "denoising steps for a geometry (default: the model's own, 50 for mp20)"
    parser.add_argument("--steps", type=number(Steps), metavar="N", help=text)
    text = "geometries drawn for each crystal; the likeliest is kept (default: the model's own, 4 for mp20)"
    parser.add_argument("--proposals", type=number(Few), metavar="N", help=text)
    parser.add_seed()
    parser.add_device()
    parser.add_overwrite(RESULTS["generate"])


def add_constraints(parser: Parser) -> None:
    """An option for each constraint of the registry; they become the parameter `constraints`, a mapping by name.

    Raises:
        InputError: a constraint of another package has the name of an option that is there already.
    """
    text = "every crystal fulfils all of them; otherwise crystals are as frequent as without constraints"
    group = parser.add_gathered("constraints", text, CONSTRAINTS)
    for name in CONSTRAINTS:
        option = f"--{name.replace('_', '-')}"
        try:
            kind = CONSTRAINTS[name]
        except InputError as error:  # a package is broken: irrelevant unless it is used
            parser.add_unusable(group, option, str(error))
            continue
        value: dict[str, Any] = {"metavar": kind.metavar} if kind.metavar else {"action": "store_true"}
        try:
            group.add_argument(option, dest=name, **value, help=kind.help.replace("%", "%%"))
        except ArgumentError:
            raise InputError(
                f"constraint {name!r}: `{parser.prog}` has an option {option} already; "
                "rename the constraint, or uninstall its package"
            ) from None


@dataclass(frozen=True, eq=False)
class Made:
    """B crystals as they are written."""

    number: np.ndarray  # (B,) that they are named by
    units: Sequence[AsymmetricUnit]
    log_probability: Sequence[float] = ()  # (B,) natural logarithms; empty if they are not known
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)  # further ones of crystals.csv, (B,) texts each
    unrelaxed: Sequence[AsymmetricUnit] = ()  # (B,) the same crystals before; empty if they were not relaxed
    best_of: BestOf | None = None  # how they were chosen, where they were

    @classmethod
    def of(cls, finished: Sequence[Batch], best_of: BestOf | None = None) -> Made:
        """The crystals of finished batches, in the order of their numbers."""
        import numpy as np

        number = np.concatenate([batch.number for batch in finished])
        units = [unit for batch in finished for unit in batch.units]
        known = [batch.log_probability for batch in finished if batch.log_probability is not None]
        rows = np.argsort(number)
        log_probability = np.concatenate(known)[rows].tolist() if known else []
        return cls(number[rows], [units[row] for row in rows], log_probability, best_of=best_of)


@dataclass(frozen=True)
class GenerationRequest:
    """Request: number of crystals, weights, and the folder for units.npz, crystals.extxyz, crystals.csv and CIFs."""

    output: Path
    number: int
    checkpoint: str | Path | None = None  # None: the shipped weights
    device: str = "auto"

    @property
    def path(self) -> Path:
        """File of the weights.

        Raises:
            InputError: no such weights.
        """
        from symmcd.diffusion.abilities import weights_path
        from symmcd.diffusion.pretrained import SHIPPED

        return weights_path(str(self.checkpoint or SHIPPED))

    def abilities(self) -> Abilities:
        """Abilities of the weights; refuses options that no weights support.

        Raises:
            InputError: a number below 1, an output that cannot be written, or no weights.
        """
        from symmcd.diffusion.abilities import read_abilities

        if self.number < 1:
            raise InputError(f"number = {self.number}: expected a whole number, at least 1")
        check_output_folder(self.output, RESULTS["generate"], overwrite=True)
        return read_abilities(self.path)

    def generator(self) -> tuple[Generator, int]:
        """The generator, and how many crystals it makes at once."""
        from symmcd.device import hold_gpu
        from symmcd.diffusion.generator import Generator

        hold_gpu(self.device)
        generator = Generator.load(self.path, self.device)
        return generator, AT_ONCE[generator.device.type]

    def fulfil(
        self,
        make: Callable[[list[Batch], StepProgress], None],
        best_of: BestOf | None = None,
        relax: Callable[[Made], Made] | None = None,
    ) -> int:
        """Write the crystals that `make` appends to a list batch by batch, and print their number.

        Args:
            make: makes them.
            best_of: how they were chosen, if they were; it is written to units.npz.
            relax: relaxes them before they are written; None: they are written unchanged.

        Raises:
            KeyboardInterrupt: in `make`, after the finished crystals have been written, or in `relax`, after its
                crystals have been written unrelaxed.
        """
        from symmcd.diffusion.progress import StepProgress

        finished: list[Batch] = []
        progress = StepProgress("generating crystal", self.number)
        try:
            make(finished, progress)
        except KeyboardInterrupt:
            progress.close()
            if finished:
                done = self._write(Made.of(finished, best_of))
                unrelaxed = " as predicted, not relaxed" if relax else ""
                print(f"interrupted: {done} of {self.number} crystals written{unrelaxed}", file=sys.stderr)
            raise
        progress.close()
        made = Made.of(finished, best_of)
        if relax is None:
            return self._write(made)
        try:
            relaxed = relax(made)
        except KeyboardInterrupt:
            done = self._write(made)
            print(f"interrupted: {done} crystals written as predicted, not relaxed", file=sys.stderr)
            raise
        return self._write(relaxed)

    def _write(self, made: Made) -> int:
        """Write crystals, and say how many they are."""
        from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
        from symmcd.crystallography.orbit import replicate_flat
        from symmcd.storage import write_units
        from symmcd.structures.crystal_table import write_table
        from symmcd.structures.write import write_crystals

        labels = labels_of(made.number, max(self.number, len(made.number)) - 1)
        units = replace(AsymmetricUnits.from_units(made.units, labels), best_of=made.best_of)
        table = self.output / "crystals.csv"
        paths = [*write_crystals(self.output, replicate_flat(units), units, CIF_FOLDER_LIMIT), table]
        write_table(table, units, made.log_probability, made.columns)
        if made.unrelaxed:
            paths.append(self.output / "unrelaxed.npz")
            write_units(paths[-1], AsymmetricUnits.from_units(made.unrelaxed, labels))
        remove_other_results(self.output, RESULTS["generate"], paths)
        for path in paths:
            print(f"wrote {path} ({len(units)} crystals)")
        return len(units)
