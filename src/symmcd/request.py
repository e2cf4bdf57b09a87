"""A request for crystals, as `symmcd generate` and `symmcd predict` make it: of which weights, how many, written where.

What cannot be done is refused before torch and the weights are loaded, which takes seconds; what is finished when the
user interrupts is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.command import Parser, number
from symmcd.errors import InputError
from symmcd.output_folder import RESULTS, check_output_folder, remove_other_results
from symmcd.settings import Count, Few, Steps

if TYPE_CHECKING:
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
    parser.add_output("gets CIFs, crystals.extxyz and crystals.csv", metavar="DIR")
    text = "crystals to make (default: 10)"
    parser.add_argument("--number", type=number(Count), default=10, metavar="N", help=text)


def add_how(parser: Parser) -> None:
    """``--checkpoint``, ``--steps``, ``--proposals`` and what all commands of networks have."""
    text = "denoiser.safetensors of `symmcd train`, or mp20 (default: the shipped weights, mp20)"
    parser.add_argument("--checkpoint", metavar="FILE", help=text)
    text = "reverse steps of a geometry (default: of the model, 50 for mp20)"
    parser.add_argument("--steps", type=number(Steps), metavar="N", help=text)
    text = "geometries a crystal, the likeliest is kept (default: of the model, 4 for mp20)"
    parser.add_argument("--proposals", type=number(Few), metavar="N", help=text)
    parser.add_seed()
    parser.add_device()
    parser.add_overwrite(RESULTS["generate"])


@dataclass(frozen=True)
class GenerationRequest:
    """How many crystals of which weights, and the folder for units.npz, crystals.extxyz, crystals.csv and CIFs."""

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
        """What the weights can do; refuses what no weights can.

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

    def fulfil(self, make: Callable[[list[Batch], StepProgress], None], best_of: BestOf | None = None) -> int:
        """Write the crystals that `make` appends to a list batch by batch, and say how many there are.

        Args:
            make: makes them.
            best_of: how they were chosen, where they were; units.npz says so.

        Raises:
            KeyboardInterrupt: in `make`, after what is finished has been written.
        """
        from symmcd.diffusion.progress import StepProgress

        finished: list[Batch] = []
        progress = StepProgress("generating crystal", self.number)
        try:
            make(finished, progress)
        except KeyboardInterrupt:
            progress.close()
            if finished:
                done = self._write(finished, best_of)
                print(f"interrupted: {done} of {self.number} crystals written", file=sys.stderr)
            raise
        progress.close()
        return self._write(finished, best_of)

    def _write(self, finished: Sequence[Batch], best_of: BestOf | None) -> int:
        """Write the crystals of finished batches, in the order of their numbers and named by them; how many."""
        import numpy as np

        from symmcd.crystallography.asymmetric_unit import AsymmetricUnits, labels_of
        from symmcd.crystallography.orbit import replicate_flat
        from symmcd.structures.crystal_table import write_table
        from symmcd.structures.write import write_crystals

        order = np.concatenate([batch.number for batch in finished])
        made = [unit for batch in finished for unit in batch.units]
        log_probability = [batch.log_probability for batch in finished if batch.log_probability is not None]
        rows = np.argsort(order)
        labels = labels_of(order[rows], max(self.number, len(order)) - 1)
        units = replace(AsymmetricUnits.from_units([made[row] for row in rows], labels), best_of=best_of)
        table = self.output / "crystals.csv"
        paths = [*write_crystals(self.output, replicate_flat(units), units, CIF_FOLDER_LIMIT), table]
        write_table(table, units, np.concatenate(log_probability)[rows].tolist() if log_probability else [])
        remove_other_results(self.output, RESULTS["generate"], paths)
        for path in paths:
            print(f"wrote {path} ({len(units)} crystals)")
        return len(units)
