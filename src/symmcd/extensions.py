"""Extensions of symmcd, one registry each: constraints, metrics, screens, models, potentials, data sources.

An entry is one file and one line here; an installed package offers its own by an entry point of the registry's group
(`symmcd.registry`).  Reading a registry loads no torch, pandas or pymatgen.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from symmcd.errors import InputError
from symmcd.registry import Registry, loaded

if TYPE_CHECKING:  # these load torch, or import this file
    from symmcd.diffusion.model import Model
    from symmcd.settings import TrainingSettings


@dataclass(frozen=True)
class ConstraintKind:
    """A demand on generated crystals: the argument NAME of `Generator.generate` and ``symmcd generate --NAME``.

    Attributes:
        help: what it demands, in one line.
        read: makes the `symmcd.diffusion.constraints.constraint.Constraint` of a value, which is a text where it comes
            from the command line; raises InputError.
        metavar: of the value in the help; empty: the option has no value, and `read` gets True.
        reads_file: the value may name a file, which `read` reads: settings are not read before there is a need.
    """

    help: str
    read: Callable[[Any], Any]
    metavar: str = ""
    reads_file: bool = False


CONSTRAINTS = Registry(
    "constraint",
    "symmcd.constraints",
    ConstraintKind,
    {
        "space_group": "symmcd.diffusion.constraints.space_group:SPACE_GROUP",
        "elements": "symmcd.diffusion.constraints.elements:ELEMENTS",
        "exclude": "symmcd.diffusion.constraints.exclude:EXCLUDE",
        "chemical_system": "symmcd.diffusion.constraints.chemical_system:CHEMICAL_SYSTEM",
        "formula": "symmcd.diffusion.constraints.formula:FORMULA",
        "anonymous_formula": "symmcd.diffusion.constraints.anonymous_formula:ANONYMOUS_FORMULA",
        "max_atoms": "symmcd.diffusion.constraints.max_atoms:MAX_ATOMS",
        "atoms": "symmcd.diffusion.constraints.sizes:ATOMS",
        "orbits": "symmcd.diffusion.constraints.sizes:ORBITS",
        "density": "symmcd.diffusion.constraints.volumes:DENSITY",
        "volume_per_atom": "symmcd.diffusion.constraints.volumes:VOLUME_PER_ATOM",
        "cell_of": "symmcd.diffusion.constraints.volumes:CELL_OF",
        "crystal_system": "symmcd.diffusion.constraints.kinds_of_group:CRYSTAL_SYSTEM",
        "point_group": "symmcd.diffusion.constraints.kinds_of_group:POINT_GROUP",
        "polar": "symmcd.diffusion.constraints.kinds_of_group:POLAR_GROUPS",
        "chiral": "symmcd.diffusion.constraints.kinds_of_group:CHIRAL",
        "enantiomorphic": "symmcd.diffusion.constraints.kinds_of_group:ENANTIOMORPHIC_GROUPS",
        "centrosymmetric": "symmcd.diffusion.constraints.kinds_of_group:CENTROSYMMETRIC",
        "noncentrosymmetric": "symmcd.diffusion.constraints.kinds_of_group:NONCENTROSYMMETRIC",
        "template": "symmcd.diffusion.constraints.template:TEMPLATE",
        "like": "symmcd.diffusion.constraints.template:LIKE",
        "arrangement_of": "symmcd.diffusion.constraints.template:ARRANGEMENT_OF",
        "fill": "symmcd.diffusion.constraints.fill:FILL",
    },
)

NEEDS = ("train", "reference", "fingerprints", "predictor")
"""Inputs that a number may need beside the crystals: training set, reference set, fingerprints, predicted energies."""


@dataclass(frozen=True)
class Quantity:
    """A number that a metric gives: rows of summary.csv, or a column of per_crystal.csv."""

    label: str  # a few words; what follows an underscore is a subscript
    sentence: str  # what is counted; plain text that ends with a full stop
    unit: str = ""  # "%", "Å", "eV/atom" …; empty for what has none
    better: Literal["", "more", "less"] = ""  # empty if neither is a merit by itself
    protocols: tuple[str, ...] = ("strict",)  # protocols of the rows; a column has none
    needs: frozenset[str] = frozenset()  # some of `NEEDS`; left out if one is missing

    def __post_init__(self) -> None:
        """Refuse what nobody could give.

        Raises:
            ValueError: an unknown need.
        """
        if unknown := self.needs - {*NEEDS}:
            raise ValueError(f"{self.label}: needs {', '.join(sorted(unknown))}; choose from {', '.join(NEEDS)}")


@dataclass(frozen=True)
class Metric:
    """Numbers that are computed together, of each crystal or of a set.

    Attributes:
        of: "crystal": `function` takes a `symmcd.metrics.crystal_scores.Crystal` and returns a mapping, the values of
            columns of per_crystal.csv; "set": it takes a `symmcd.metrics.set_summary.CrystalSet` and returns
            `symmcd.metrics.rows.Row`s of summary.csv.
        function: ``module:attribute``, imported when it is first called.
        quantities: by name of row or column, in order.
    """

    of: Literal["crystal", "set"]
    function: str
    quantities: Mapping[str, Quantity]

    def load(self) -> Callable[[Any], Any]:
        """The function itself."""
        function: Callable[[Any], Any] = loaded(self.function)
        return function


METRICS = Registry(
    "metric",
    "symmcd.metrics",
    Metric,
    {  # in the order of columns and rows
        "crystal_symmetry": "symmcd.metrics.of_crystal.symmetry:METRIC",
        "crystal_validity": "symmcd.metrics.of_crystal.validity:METRIC",
        "validity": "symmcd.metrics.of_set.validity:METRIC",
        "symmetry": "symmcd.metrics.of_set.symmetry:METRIC",
        "templates": "symmcd.metrics.of_set.templates:METRIC",
        "coverage": "symmcd.metrics.of_set.coverage:METRIC",
        "distributions": "symmcd.metrics.of_set.distributions:METRIC",
        "originality": "symmcd.metrics.of_set.originality:METRIC",
        "set_size": "symmcd.metrics.of_set.set_size:METRIC",
        "energy_predictor": "symmcd.metrics.of_set.energy_predictor:METRIC",
    },
)


def quantities(of: Literal["crystal", "set"] = "set") -> dict[str, Quantity]:
    """Numbers of all metrics of this kind by name: rows of summary.csv, or columns of per_crystal.csv."""
    metrics = (METRICS[name] for name in METRICS)
    return {name: number for metric in metrics if metric.of == of for name, number in metric.quantities.items()}


# --- screens ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Screen:
    """Screen: a value of one crystal that helps to look through candidates, shown as a column with a unit.

    Attributes:
        label: a few words.
        sentence: its meaning; plain text that ends with a full stop.
        function: ``module:attribute``, imported when it is first called; takes a
            `symmcd.screens.crystal.ScreenedCrystal` and returns a number, a text or None.
        unit: "Å", "%" …; empty for what has none.
        text: the value is a text, else a number.
        slow: it may take seconds, and gets a time limit of its own.
        package: that it needs, as pip or Python calls it; empty: none.
        check: ``module:attribute`` of a function without arguments that raises InputError where the screen cannot work;
            empty: nothing more than the package is looked for.
    """

    label: str
    sentence: str
    function: str
    unit: str = ""
    text: bool = False
    slow: bool = False
    package: str = ""
    check: str = ""

    def load(self) -> Callable[[Any], Any]:
        """The function itself."""
        function: Callable[[Any], Any] = loaded(self.function)
        return function


SCREENS = Registry(
    "screen",
    "symmcd.screens",
    Screen,
    {  # in the order of columns
        "dimensionality": "symmcd.screens.bonds:DIMENSIONALITY",
        "shortest_distance": "symmcd.screens.bonds:SHORTEST_DISTANCE",
        "largest_void": "symmcd.screens.voids:LARGEST_VOID",
        "channel": "symmcd.screens.voids:CHANNEL",
        "oxidation_states": "symmcd.screens.chemistry:OXIDATION_STATES",
        "volume_change": "symmcd.screens.relaxation:VOLUME_CHANGE",
        "radioactive": "symmcd.screens.chemistry:RADIOACTIVE_ELEMENTS",
        "scarce": "symmcd.screens.chemistry:SCARCE_ELEMENTS",
        "synthesis": "symmcd.screens.synthesis:SYNTHESIS",
        "known_elsewhere": "symmcd.screens.elsewhere:KNOWN_ELSEWHERE",
    },
)


# --- models ----------------------------------------------------------------------------------------------------------

ABILITIES = ("elements", "composition", "temperature", "proposals")


@dataclass(frozen=True)
class Part:
    """A network of a model that is trained by itself."""

    name: str  # name of its folder, and in the option --part
    epochs: str = "epochs"  # training setting that says how many
    # section → its settings that this part does not depend on: changing them does not train it again
    independent_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """Size of a training set, as far as the time of a training depends on it."""

    orbits: int  # number over all crystals
    pairs: int  # pairs of orbits, summed over crystals: the squares of their numbers of orbits


MP20 = Workload(orbits=122_873, pairs=794_395)  # the training set of MP-20


def no_time(_model: Any, _training: TrainingSettings, _data: Workload) -> float:
    """Training time of a model that has nothing to train, in seconds."""
    return 0.0


@dataclass(frozen=True)
class ModelKind:
    """A kind of generative model, a value of `model.kind`, with everything about it that needs no torch."""

    name: str
    sentence: str  # what it is
    settings: type  # subclass of `settings.ModelSettings`: the section `model` of this kind
    implementation: str  # ``module:attribute`` of a class as `diffusion.model.Model` describes it
    can: frozenset[str] = frozenset()  # some of ABILITIES: options of sampling
    default_steps: int | None = None  # reverse steps where none are asked for; None: as many as it was trained with
    default_proposals: int = 1  # geometries per crystal where no number is asked for
    parts: tuple[Part, ...] = ()  # none: nothing is trained, the model is made of its training set at once
    losses: Mapping[str, str] = field(default_factory=dict)  # name in losses.csv → what it is, for the report
    cpu_days: Callable[[Any, TrainingSettings, Workload], float] = no_time  # time of a training on two cores

    def load(self) -> type[Model]:
        """The class that does the work; this is where torch is loaded."""
        model: type[Model] = loaded(self.implementation)
        return model

    def part(self, name: str) -> Part:
        """The part called `name`; KeyError if there is none."""
        return {part.name: part for part in self.parts}[name]

    @staticmethod
    def trained_steps(settings: Any) -> int:
        """Reverse steps at most, T of a diffusion; 1 of a model that takes no steps."""
        return int(getattr(settings, "steps", 1))

    def steps(self, settings: Any, asked: int | None = None) -> int:
        """Reverse steps that are taken where `asked` for; None and 0 ask for the default."""
        trained = self.trained_steps(settings)
        return asked or min(self.default_steps or trained, trained)


MODELS = Registry(
    "model",
    "symmcd.models",
    ModelKind,
    {
        "staged": "symmcd.diffusion.staged.kind:STAGED",
        "joint": "symmcd.diffusion.joint_kind:JOINT",
        "unit_cell": "symmcd.diffusion.joint_kind:UNIT_CELL",
        "pyxtal": "symmcd.diffusion.pyxtal_model:PYXTAL",
    },
)


# --- potentials ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PotentialEntry:
    """A potential that relaxes crystals and gives hulls their energies; see `symmcd.potentials.potential`."""

    sentence: str  # what it is, and what it was trained on
    version: str  # version of the weights; cached energies of another version are not used
    source: str  # where it comes from, and its licence
    loader: str | Callable[[str], Any]  # function of a device ("cpu", "cuda") that returns a Potential, or its place
    elements: frozenset[int]  # atomic numbers that it was trained on
    corrected: bool  # whether its energies carry the Materials Project's corrections (MP2020)
    elemental: str = ""  # "package:file.csv" with `element, energy_per_atom, prototype`; empty = it has no such table
    optimisers: Mapping[str, str | Callable[..., float]] = field(default_factory=dict)  # its own, by name
    label: str = ""  # as the report writes it, such as CHGNet; empty: its name in the registry
    # whether they are PBE(+U) by the Materials Project's settings, so that its corrections can be added to them
    correctable: bool = False
    extra: str = ""  # extra of symmcd that installs its package; empty: needs none, or comes from elsewhere
    package: str = ""  # importable package that this extra brings, such as sevenn

    def load(self, device: str) -> Any:
        """The potential itself, on a device.

        Raises:
            InputError: a package that it needs is not installed.
        """
        try:
            return (loaded(self.loader) if isinstance(self.loader, str) else self.loader)(device)
        except ModuleNotFoundError as error:
            raise InputError(self._not_installed(str(error.name))) from error

    def check_installed(self) -> None:
        """Look whether the package that it needs is there, without loading it.

        Raises:
            InputError: it is not installed.
        """
        if self.package and importlib.util.find_spec(self.package) is None:
            raise InputError(self._not_installed(self.package))

    def _not_installed(self, package: str) -> str:
        how = f"run `pip install 'symmcd[{self.extra}]'`" if self.extra else "install it"
        return f"{self.sentence}: the Python package {package!r} is not installed; {how}, or choose another potential"

    def optimiser(self, name: str) -> Any:
        """An optimiser of its own, a `symmcd.potentials.potential.OwnOptimiser`."""
        own = self.optimisers[name]
        return loaded(own) if isinstance(own, str) else own


POTENTIALS = Registry(
    "potential",
    "symmcd.potentials",
    PotentialEntry,
    {
        "chgnet": "symmcd.potentials.chgnet.entry:ENTRY",
        "chgnet-r2scan": "symmcd.potentials.chgnet.entry:R2SCAN",
        "sevennet-0": "symmcd.potentials.sevennet.entry:SEVENNET_0",
        "sevennet-l3i5": "symmcd.potentials.sevennet.entry:SEVENNET_L3I5",
    },
)

RELAX_METHODS = ("unconstrained", "symmetry")  # that every potential can be used with
HULL_SOURCES = ("table", "matbench-discovery")  # beside the potentials; their energies carry corrections


def check_hull(potential: str, source: str) -> None:
    """Refuse a hull whose energies are not on the scale of a potential's.

    Args:
        potential: name of the potential that crystals were relaxed with.
        source: of `HULL_SOURCES`, or the potential whose energies the hull is made of.

    Raises:
        InputError: a hull of corrected energies under a potential whose energies neither are nor can be corrected, or
            a hull of another potential.
    """
    other = source not in HULL_SOURCES
    if other and source != potential:
        raise InputError(
            f"hull.source = {source} with relax.potential = {potential}: energies of one potential cannot be "
            f"compared with the hull of another; choose hull.source = {potential}"
        )
    entry = POTENTIALS[potential]
    if not other and not (entry.corrected or entry.correctable):
        raise InputError(
            f"hull.source = {source} with relax.potential = {potential}: its energies carry the Materials Project's "
            f"corrections (MP2020), those of {potential} do not, and they cannot be added; choose "
            f"hull.source = {potential}"
        )


# --- data sources ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Crystals to learn from, under the name that ``data.source`` gives.

    Attributes:
        sentence: what they are.
        licence: of the data.
        published: where they are from, as an address or a reference.
        read: returns the `symmcd.structures.sources.Raw` of a `symmcd.structures.data_files.Downloads`, which fetches
            and verifies files; a source that needs none does not ask it.
    """

    sentence: str
    licence: str
    published: str
    read: Callable[[Any], Any]


SOURCES = Registry(
    "data source",
    "symmcd.sources",
    Source,
    {
        "mp20": "symmcd.structures.named_sources:MP20",
        "prototypes": "symmcd.structures.named_sources:PROTOTYPES",
    },
)
