"""Random symmetric crystals of PyXtal as a model: the control that a generator has to beat.

A crystal takes space group and contents of its conventional cell from a training crystal of the group that it is drawn
with, so groups, compositions and sizes are those of the training set.  PyXtal (Fredericks et al. 2021,
doi:10.1016/j.cpc.2020.107810) draws a cell of a volume between those of covalent and van der Waals spheres, distributes
the atoms over Wyckoff positions, and draws coordinates until no two atoms are too close.

A search may go on without end, so each runs in a process that is ended after ``model.seconds``.  Where it finds nothing
or is ended, another training crystal of the group is drawn and the volume grows by a tenth, ``model.attempts`` times;
how often is said.  The same seed gives the same crystals, unless a search comes near the limit of time.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symmcd.errors import InputError, SymmcdError
from symmcd.extensions import ModelKind
from symmcd.settings import Attempts, Kind, ModelSettings, Positive, Precision, Seconds

if TYPE_CHECKING:  # the settings are read without them
    import numpy as np
    from torch import Tensor

    from symmcd.crystallography.asymmetric_unit import AsymmetricUnits
    from symmcd.diffusion.checkpoint import Checkpoint
    from symmcd.diffusion.model import Plan
    from symmcd.diffusion.random_streams import CrystalStreams
    from symmcd.diffusion.sampler import Sampler

GROWTH = 1.1  # factor of the volume, from attempt to attempt
NAMES = ("space_group", "start", "element", "atoms")


@dataclass(frozen=True)
class PyXtalSettings(ModelSettings):
    """Random crystals of PyXtal."""

    kind: Kind = "pyxtal"
    volume_factor: Positive = 1.1  # volume of the cell over that of its atoms' spheres; PyXtal's own default
    seconds: Seconds = 30.0  # wall-clock limit a search
    attempts: Attempts = 20  # searches per crystal


PYXTAL = ModelKind(
    name="pyxtal",
    sentence="random symmetric crystals of PyXtal, with groups and compositions of the training set: a control",
    settings=PyXtalSettings,
    implementation="symmcd.diffusion.pyxtal_model:PyXtalModel",
)


@dataclass(frozen=True, eq=False)
class Contents:
    """Space groups and contents of the conventional cells of T training crystals."""

    space_group: np.ndarray  # (T,)
    start: np.ndarray  # (T + 1,) crystal i has elements start[i]:start[i+1]
    element: np.ndarray  # (K,) atomic number
    atoms: np.ndarray  # (K,) of the element in the conventional cell

    @classmethod
    def of(cls, units: AsymmetricUnits) -> Contents:
        """Those of `units`."""
        import numpy as np

        from symmcd.crystallography.wyckoff import wyckoff_table

        pairs, orbit = np.unique(np.stack([units.crystal, units.element]), axis=1, return_inverse=True)
        atoms = np.bincount(orbit.ravel(), wyckoff_table().multiplicity[units.wyckoff]).astype(int)
        start = np.searchsorted(pairs[0], np.arange(len(units) + 1))
        return cls(units.space_group, start, pairs[1], atoms)

    def draw(self, group: int, uniform: float) -> tuple[list[int], list[int]]:
        """Elements of a training crystal of `group`, and atoms of each; of any, where the training set has none."""
        import numpy as np

        from symmcd.crystallography.space_group import lattice_points

        rows = np.flatnonzero(self.space_group == group)
        rows = rows if len(rows) else np.arange(len(self.space_group))
        row = rows[int(uniform * len(rows))]
        part = slice(self.start[row], self.start[row + 1])
        cells = lattice_points(int(self.space_group[row]))
        return self.element[part].tolist(), (self.atoms[part] // cells * lattice_points(group)).tolist()


class PyXtalModel:
    """PyXtal with what it is to make, see `symmcd.diffusion.model.Model`; without parts it has no `objective`."""

    one_size = False

    def __init__(self, checkpoint: Checkpoint, precision: Precision = "auto") -> None:  # noqa: ARG002
        from symmcd.diffusion.checkpoint import MisfitError, under

        check_installed()
        self.settings: PyXtalSettings = checkpoint.settings
        known = under("pyxtal.", checkpoint.tensors)
        if set(known) != set(NAMES):
            raise MisfitError(f"statistics of a pyxtal model are {', '.join(NAMES)}, these are {', '.join(known)}")
        self.contents = Contents(**{name: known[name].cpu().numpy() for name in NAMES})

    @classmethod
    def assemble(
        cls,
        settings: PyXtalSettings,  # noqa: ARG003
        parts: Mapping[str, Mapping[str, Tensor]],  # noqa: ARG003
        train: AsymmetricUnits,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """No weights, and the statistics of the training set with its `Contents`."""
        import torch

        from symmcd.diffusion.model import statistics_of

        check_installed()
        contents = Contents.of(train)
        own = {f"pyxtal.{name}": torch.as_tensor(getattr(contents, name), dtype=torch.int32) for name in NAMES}
        return {}, statistics_of(train) | own

    def sample(
        self,
        plan: Plan,
        streams: CrystalStreams,
        options: Sampler,  # noqa: ARG002
        on_step: Callable[[int], None] = lambda _: None,
    ) -> AsymmetricUnits:
        """The crystals of `plan`, on Wyckoff positions of their groups; their numbers of orbits are not looked at.

        Raises:
            SymmcdError: no search for a crystal has found anything.
        """
        from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, AsymmetricUnits
        from symmcd.workers import cores, work

        keys = [key & (2**64 - 1) for key in streams.key.tolist()]
        found: dict[int, AsymmetricUnit] = {}
        failures: Counter[str] = Counter()
        for attempt in range(self.settings.attempts):
            rows = [row for row in range(len(keys)) if row not in found]
            items = [self.search(int(plan.space_group[row]), keys[row], attempt) for row in rows]
            processes = min(cores(), len(items))
            for index, outcome in work(f"{__name__}:arranged", items, processes, self.settings.seconds):
                if outcome.status == "ok":
                    found[rows[index]] = AsymmetricUnit(int(plan.space_group[rows[index]]), *outcome.value)
                else:
                    failures[outcome.status] += 1
        if len(found) < len(keys):
            groups = sorted({int(plan.space_group[row]) for row in range(len(keys)) if row not in found})
            raise SymmcdError(
                f"{len(keys) - len(found)} of {len(keys)} crystals: PyXtal has found no arrangement in "
                f"{self.settings.attempts} attempts ({dict(failures)}), in space groups "
                f"{groups}; raise model.seconds or model.attempts"
            )
        if failures:
            print(f"PyXtal: {dict(failures)} of {len(keys) + failures.total()} searches, drawn again", file=sys.stderr)
        on_step(1)
        return AsymmetricUnits.from_units(found[row] for row in range(len(keys)))

    def search(self, group: int, key: int, attempt: int) -> tuple[int, list[int], list[int], float, list[int]]:
        """Arguments of `arranged`: the search number `attempt` for the crystal of the random stream `key`."""
        import numpy as np

        uniform = np.random.default_rng([key, attempt, 0]).random()
        factor = self.settings.volume_factor * GROWTH**attempt
        return group, *self.contents.draw(group, uniform), factor, [key, attempt, 1]


class NotArrangedError(Exception):
    """PyXtal gave up."""

    reason = "not_arranged"


def arranged(
    search: tuple[int, list[int], list[int], float, list[int]],
) -> tuple[np.ndarray, list[int], tuple[str, ...], np.ndarray]:
    """A random crystal: lattice (3, 3) in rows, Å, and element, Wyckoff letter and position (M, 3) of each orbit.

    Args:
        search: space group; elements; atoms of each in the conventional cell; volume factor; seed.

    Raises:
        NotArrangedError: these atoms have no place in this group, or none was found.
    """
    import warnings

    import numpy as np
    from pyxtal.crystal import random_crystal
    from pyxtal.msg import Comp_CompatibilityError

    from symmcd.crystallography.composition import SYMBOLS
    from symmcd.workers import alive

    alive()  # the import takes seconds, which are not the crystal's
    group, elements, atoms, factor, seed = search
    symbols = [SYMBOLS[number - 1] for number in elements]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings about a volume that it enlarges
        try:
            crystal = random_crystal(
                dim=3, group=group, species=symbols, numIons=atoms, factor=factor,
                random_state=np.random.default_rng(seed),
            )  # fmt: skip
        except Comp_CompatibilityError as error:
            raise NotArrangedError(str(error)) from None
    if not crystal.valid:
        raise NotArrangedError(f"group {group}, {dict(zip(symbols, atoms, strict=True))}")
    sites = crystal.atom_sites
    element = [elements[symbols.index(site.specie)] for site in sites]
    position = np.array([site.coords[0] for site in sites], dtype=float)
    return np.array(crystal.lattice.matrix), element, tuple(site.wp.letter for site in sites), position


def check_installed() -> None:
    """Raise InputError where PyXtal is not installed."""
    if importlib.util.find_spec("pyxtal") is None:
        raise InputError("model.kind = pyxtal: PyXtal is not installed; install it with `pip install 'symmcd[pyxtal]'`")
