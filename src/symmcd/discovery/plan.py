"""Plan of `symmcd discover`: all options, and those that decide which crystals are made."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symmcd import __version__
from symmcd.diffusion.abilities import Abilities, in_symbols, read_abilities, weights_path
from symmcd.diffusion.constraints.constraint import Constraint, read_constraints
from symmcd.diffusion.constraints.together import Together
from symmcd.diffusion.pretrained import SHIPPED as WEIGHTS
from symmcd.diffusion.sampler import Sampler
from symmcd.discovery.contents import file_hash, wish_identity
from symmcd.discovery.defaults import NUMBER, STABLE
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.screens.columns import check_screens, usable
from symmcd.screens.filters import Filter, read_filters
from symmcd.stability.outcome import Limits
from symmcd.stability_model.materials import SPLITS
from symmcd.stability_model.model import SHIPPED as STABILITY_MODEL
from symmcd.stability_model.model import model_path

STEPS, PROPOSALS = 25, 1  # cheap geometries: the relaxation afterwards mends them
RELAXES, JUDGES = "chgnet", ("sevennet-0",)  # by itself; where they are installed
LIMITS = Limits(steps=200, fmax=0.1, max_atoms=60, seconds=300)
VERSION = 2  # goes up where the same plan makes other crystals than before


@dataclass(frozen=True)
class Plan:
    """Everything that a list of candidates depends on, and where it goes.

    Raises:
        InputError: see `check`, which is called before any work.
    """

    number: int = NUMBER  # crystals
    constraints: Mapping[str, Any] = field(default_factory=dict)  # by names of `extensions.CONSTRAINTS`
    stable: int = STABLE  # drafts per crystal, of which the most stable are made; 1: no choice
    seed: int = 0
    temperature: float = 1.0
    steps: int = STEPS
    proposals: int = PROPOSALS
    checkpoint: str = WEIGHTS
    stability_model: str = STABILITY_MODEL
    judges: tuple[str, ...] = ()  # the first relaxes; none: all at hand of `RELAXES` and `JUDGES`
    hull: Path | None = None
    known: tuple[Path, ...] = ()  # units.npz: known beside what comes along
    leave_out: tuple[str, ...] = ()  # splits of MP-20 and units.npz whose arrangements are not made
    screens: tuple[str, ...] | None = None  # by names of `extensions.SCREENS`; None: all whose packages are there
    keep: tuple[str, ...] = ()  # filters on screens, as `screens.filters.Filter` reads them: of the table alone
    threshold: float = 0.1  # eV/atom above the hull; a candidate is not higher
    limits: Limits = LIMITS  # limits of each relaxation
    device: str = "auto"

    @property
    def weights(self) -> Path:
        """File of the generator."""
        return weights_path(self.checkpoint)

    @property
    def potentials(self) -> tuple[str, ...]:
        """Judges, the first of which relaxes."""
        return self.judges or (RELAXES, *(name for name in JUDGES if _installed(name)))

    @property
    def screened(self) -> tuple[str, ...]:
        """Names of the screens."""
        return tuple(usable()) if self.screens is None else self.screens

    @property
    def filters(self) -> tuple[Filter, ...]:
        """Filters on screens that candidates must pass.

        Raises:
            InputError: one that means nothing, or is on a screen that is not run.
        """
        try:
            return read_filters(self.keep, self.screened)
        except InputError as error:
            raise InputError(f"--keep: {error}") from None

    def asked(self) -> tuple[Constraint, ...]:
        """The constraints.

        Raises:
            InputError: one that means nothing.
        """
        return read_constraints(self.constraints, options=True)

    def check(self) -> Abilities:
        """Refuse at once what cannot be done; return the abilities of the weights.

        Raises:
            InputError: a number below 1, no such weights, constraint, potential, screen, filter or file, what the model
                cannot do, or elements that a judge does not know.
        """
        for name in ("number", "stable"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} = {getattr(self, name)}: expected a whole number, at least 1")
        asked = self.asked()
        abilities = read_abilities(self.weights)
        abilities.check_can("composition")
        abilities.check(Sampler(self.steps, self.proposals, temperature=self.temperature, constraints=asked))
        if self.stable > 1:
            model_path(self.stability_model)
        for path in (*self.known, *([self.hull] if self.hull else [])):
            if not path.is_file():
                raise InputError(f"{path}: no such file")
        self._check_judges(asked)
        check_screens(self.screened)
        _ = self.filters
        return abilities

    def _check_judges(self, asked: Sequence[Constraint]) -> None:
        for name, times in Counter(self.potentials).items():
            if name not in POTENTIALS:
                raise InputError(f"judge {name!r}: choose from {', '.join(POTENTIALS)}")
            if times > 1:
                raise InputError(f"judge {name!r}: named twice; leave one out")
            POTENTIALS[name].check_installed()
            if unknown := sorted(needed_elements(asked) - POTENTIALS[name].elements):
                raise InputError(f"the judge {name} does not know {in_symbols(unknown)}; leave one of the two out")

    def drafts_identity(self, block: int) -> dict[str, Any]:
        """Options on which drafts depend."""
        return {
            "version": VERSION,
            "weights": file_hash(self.weights),
            "constraints": {name: wish_identity(name, value) for name, value in sorted(self.constraints.items())},
            "seed": self.seed,
            "temperature": self.temperature,
            "block": block,
        }

    def identity(self) -> dict[str, Any]:
        """Options on which the list depends, by name; a folder is continued only with the same."""
        named = {
            "number": self.number, "stable": self.stable, "seed": self.seed, "temperature": self.temperature,
            "steps": self.steps, "proposals": self.proposals,
            "checkpoint": file_hash(self.weights),
            "stability-model": file_hash(model_path(self.stability_model)) if self.stable > 1 else "",
            "judges": [[name, POTENTIALS[name].version] for name in self.potentials],
            "screens": list(self.screened),
            "hull": file_hash(self.hull) if self.hull else "",
            "known": [file_hash(path) for path in self.known],
            "leave-out": [file_hash(Path(name)) if name not in SPLITS else name for name in self.leave_out],
            "limits of relaxations": dataclasses.asdict(self.limits),
            "version of symmcd": f"{__version__}, discover {VERSION}",
        }  # fmt: skip
        return named | {
            name.replace("_", "-"): wish_identity(name, value) for name, value in sorted(self.constraints.items())
        }

    def command(self) -> str:
        """The command that makes this list again, but for its output folder."""
        words = ["symmcd", "discover"]
        for name, value in self.constraints.items():
            words.append(f"--{name.replace('_', '-')}")
            if value is not True:
                listed = isinstance(value, Iterable) and not isinstance(value, str)
                words.append(",".join(map(str, value)) if listed else str(value))
        words += ["--number", str(self.number), f"--stable={self.stable}", "--seed", str(self.seed)]
        plain = Plan()
        for name in ("temperature", "steps", "proposals", "checkpoint", "stability_model", "hull", "threshold"):
            if (value := getattr(self, name)) != getattr(plain, name):
                words += [f"--{name.replace('_', '-')}", str(value)]
        words += ["--judges", ",".join(self.potentials)]
        words += ["--known", *map(str, self.known)] if self.known else []
        words += ["--screens", ",".join(self.screens) or "none"] if self.screens is not None else []
        words += [word for text in self.keep for word in ("--keep", text)]
        words += ["--leave-out", ",".join(self.leave_out)] if self.leave_out else []
        return shlex.join(words)


def needed_elements(asked: Sequence[Constraint]) -> frozenset[int]:
    """Atomic numbers that every crystal has, as far as constraints say which."""
    return Together.of(asked).required


def only_elements(asked: Sequence[Constraint]) -> frozenset[int]:
    """Atomic numbers of the chemical system that all crystals have; empty if they may have several."""
    together = Together.of(asked)
    return together.required if together.required == together.elements else frozenset()


def _installed(name: str) -> bool:
    try:
        POTENTIALS[name].check_installed()
    except InputError:
        return False
    return True
