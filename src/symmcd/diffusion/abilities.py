"""Options that weights support, read from their file without the weights themselves and without torch.

So that a request that they cannot fulfil is refused at once, and not after seconds of loading.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from symmcd.crystallography.composition import SYMBOLS
from symmcd.crystallography.space_group import lattice_points
from symmcd.crystallography.wyckoff import wyckoff_table
from symmcd.diffusion.checkpoint_format import settings_of
from symmcd.diffusion.constraints.together import check_together
from symmcd.diffusion.sampler import Sampler
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.settings import ModelSettings
from symmcd.storage import read_tensors

NEEDED = (  # tensors that `Abilities.of` looks at
    "statistics/element_marginal",
    "statistics/orbit_count",
    "statistics/templates.space_group",
    "statistics/templates.count",
    "statistics/templates.wyckoff",
)


@dataclass(frozen=True)
class Abilities:
    """Training data and construction of a model."""

    kind: str  # kind of model, as in the setting model.kind
    trained_steps: int  # T
    default_steps: int  # reverse steps where none are asked for
    default_proposals: int  # geometries per crystal, likewise
    can: frozenset[str]  # subset of `extensions.ABILITIES`
    elements: frozenset[int]  # atomic numbers of the training set
    most_orbits: int  # largest number of orbits of a training crystal
    most_atoms: int | None  # largest primitive cell of the training set; None: unknown, older checkpoint

    @classmethod
    def of(cls, settings: ModelSettings, tensors: Mapping[str, np.ndarray]) -> Abilities:
        """Abilities of a checkpoint with these tensors (those of `NEEDED` that it has).

        Raises:
            KeyError: a tensor that every checkpoint has is missing.
        """
        seen, kind = tensors["statistics/element_marginal"], MODELS[settings.kind]
        group, count, wyckoff = (tensors.get(name) for name in NEEDED[2:])
        most_atoms = None
        if group is not None and count is not None and wyckoff is not None and len(group):
            real = np.arange(wyckoff.shape[1]) < count[:, None]
            atoms = (wyckoff_table().multiplicity[wyckoff.astype(int)] * real).sum(axis=1)
            most_atoms = int((atoms // [lattice_points(int(number)) for number in group]).max())
        elements = frozenset((np.flatnonzero(seen > 0) + 1).tolist())
        orbits = tensors["statistics/orbit_count"].shape[1] - 1
        steps = kind.trained_steps(settings), kind.steps(settings)
        return cls(settings.kind, *steps, kind.default_proposals, kind.can, elements, orbits, most_atoms)

    def steps(self, sampler: Sampler) -> int:
        """Reverse steps that `sampler` asks for."""
        return sampler.steps or self.default_steps

    def filled(self, sampler: Sampler) -> Sampler:
        """`sampler` with this model's numbers of steps and proposals where it asks for none.

        Raises:
            InputError: this model cannot do what it asks for.
        """
        self.check(sampler)
        proposals = sampler.proposals or self.default_proposals
        return dataclasses.replace(sampler, steps=self.steps(sampler), proposals=proposals)

    def check(self, sampler: Sampler) -> None:
        """Raise InputError for what this model cannot do."""
        if sampler.temperature != 1 and "temperature" not in self.can:
            raise InputError(f"temperature = {sampler.temperature} is {self._not_supported('temperature')}")
        if (sampler.proposals or 1) != 1 and "proposals" not in self.can:
            raise InputError(f"proposals = {sampler.proposals} is {self._not_supported('proposals')}")
        if sampler.chooses:
            self.check_can("elements")
        for constraint in sampler.constraints:
            constraint.check(self, [other for other in sampler.constraints if other is not constraint])
        check_together(sampler.constraints, self.most_orbits)
        if (steps := self.steps(sampler)) > self.trained_steps:
            raise InputError(
                f"{steps} reverse steps, but the denoiser was trained with {self.trained_steps}; use at most so many"
            )

    def check_can(self, ability: str) -> None:
        """Raise InputError where crystals cannot be asked for by this (of `extensions.ABILITIES`)."""
        if ability not in self.can:
            raise InputError(
                f"a {self.kind!r} model does not support wishes for elements, "
                "atoms or a composition; use a model of kind "
                f"{able_to(ability)}"
            )

    def _not_supported(self, ability: str) -> str:
        return f"not supported by a {self.kind!r} model (only 1); use a model of kind {able_to(ability)}"

    def check_elements(self, elements: Sequence[int]) -> None:
        """Raise InputError for elements, by atomic number, that the training set has not."""
        unknown = sorted(set(elements) - self.elements)
        if unknown:
            raise InputError(f"{in_symbols(unknown)}: not in the training set of this model (atomic numbers {unknown})")

    def check_composition(self, formula_unit: Mapping[int, int], atoms: int | None = None) -> None:
        """Raise InputError for a composition that no crystal of this model can have.

        Args:
            formula_unit: atomic number → atoms.
            atoms: of the primitive cell; None: any number of formula units.
        """
        self.check_can("composition")
        self.check_elements(tuple(formula_unit))
        formula, per_unit = formula_of(formula_unit), sum(formula_unit.values())
        if atoms is not None and (atoms < 1 or atoms % per_unit):
            raise InputError(
                f"{atoms} atoms are not a multiple of the {per_unit} atoms of the "
                f"formula unit {formula}; take {per_unit}, "
                f"{2 * per_unit}, …"
            )
        if self.most_atoms is not None and (atoms or per_unit) > self.most_atoms:
            asked = f"{formula} has {per_unit} atoms" if atoms is None else f"{atoms} atoms of {formula}"
            raise InputError(
                f"{asked}: more than the {self.most_atoms} in the largest primitive cell that this model has learnt "
                "from; ask for less, or train on larger crystals"
            )
        if len(formula_unit) > self.most_orbits:
            raise InputError(f"{formula}: more elements than the {self.most_orbits} orbits of this model's crystals")


def read_abilities(path: Path) -> Abilities:
    """Abilities of a file that `symmcd train` wrote.

    Raises:
        InputError: missing, cut short, or no denoiser of ours.
    """
    tensors, text = read_tensors(path, NEEDED)
    try:
        return Abilities.of(settings_of(path, text)[0], tensors)
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise InputError(f"{path}: not a readable denoiser of symmcd ({error!r}); train again") from None


def weights_path(name: str) -> Path:
    """File of the weights called `name`: shipped with the package, or itself a path of a ``.safetensors``.

    Raises:
        InputError: no such weights.
    """
    if name.endswith(".safetensors"):
        return Path(name)
    shipped = Path(str(resources.files("symmcd"))) / "weights" / f"{name}.safetensors"
    if not shipped.is_file():
        raise InputError(
            f"this version has no weights named {name!r}. Train some (`symmcd train`, or the whole chain with "
            "`symmcd init my_run`) and give their file: --checkpoint results/training/seed0/denoiser.safetensors, "
            "in Python load_pretrained('…/denoiser.safetensors')"
        )
    return shipped


def able_to(ability: str) -> str:
    """Kinds of model that can be asked for this (of `extensions.ABILITIES`), in words."""
    return " or ".join(repr(name) for name in MODELS if ability in MODELS[name].can)


def in_symbols(elements: Sequence[int]) -> str:
    """``Li, Fe, O`` of atomic numbers."""
    return ", ".join(SYMBOLS[number - 1] for number in elements)


def formula_of(formula_unit: Mapping[int, int]) -> str:
    """``LiFeO2`` of atoms by atomic number, in their order."""
    return "".join(f"{SYMBOLS[number - 1]}{count if count > 1 else ''}" for number, count in formula_unit.items())
