"""Settings of every stage: one frozen dataclass per section of ``config/*.yaml``, checked once at the border.

The type of a field states its allowed values (`symmcd.bounds`); conditions on several fields are in ``__post_init__``.
Standard library only, because training and sampling run on machines without pydantic.  Below ``stages/`` no function
sees these objects; they get plain arguments.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from symmcd.bounds import Bound, Items, Keys, Named, Pattern, Spelt, checked, shown
from symmcd.errors import InputError
from symmcd.extensions import CONSTRAINTS, HULL_SOURCES, MODELS, POTENTIALS, RELAX_METHODS, SOURCES

Precision = Literal["auto", "float32", "bfloat16"]
PredictorVariant = Literal["multigraph", "multigraph_site_symmetry", "asymmetric_unit", "asymmetric_unit_site_symmetry"]
PREDICTOR_VARIANTS: tuple[PredictorVariant, ...] = typing.get_args(PredictorVariant)
Variants = Annotated[tuple[PredictorVariant, ...], Items(distinct=True)]


def _space_group(text: str) -> int:
    """A space group's number from its symbol or number; tables are read only where a text is given."""
    from symmcd.crystallography.space_group import number_of

    return number_of(text)


LEAST_TEMPERATURE = 0.01  # below, and above its inverse, single precision makes a draw of nothing but rounding

Kind = Annotated[str, Named(MODELS)]  # kind of model
Seed = Annotated[int, Bound(0, 2**63 - 1)]
Seeds = Annotated[tuple[Seed, ...], Items(distinct=True)]
SpaceGroup = Annotated[int, Spelt(_space_group), Bound(1, 230, words="space groups are 1 to 230")]
Count = Annotated[int, Bound(1, 10**9)]
Number = Annotated[int, Bound(0, 10**9)]  # as a count, but there may be none, or 0 has a meaning of its own
Jobs = Annotated[int, Bound(1, 100_000)]
Attempts = Annotated[int, Bound(1, 100)]
Few = Annotated[int, Bound(0, 1000)]
Oversample = Annotated[int, Bound(1, 1000)]  # drafts for each crystal that is made
Rounds = tuple[Oversample, ...]
Width = Annotated[int, Bound(1, 100_000)]  # width of a layer
Layers = Annotated[int, Bound(1, 1000)]
Features = Annotated[int, Bound(2, 10_000)]
Steps = Annotated[int, Bound(1, 100_000)]  # steps of diffusion
Positive = Annotated[float, Bound(above=0)]
NotNegative = Annotated[float, Bound(0)]
LossWeights = Annotated[Mapping[str, NotNegative], Keys(("lattice", "position", "element", "site_symmetry"))]
Wishes = Mapping[str, object]  # value by name of a constraint
Share = Annotated[float, Bound(0, 1)]
OpenShare = Annotated[float, Bound(above=0, below=1)]  # share that is neither nothing nor all
BelowOne = Annotated[float, Bound(0, below=1)]
Symprec = Annotated[float, Bound(above=0, most=1)]  # Å; 0 hangs spglib for ever, and a bond is hardly longer than 1
Distance = Annotated[float, Bound(above=0, most=100)]  # Å
Seconds = Annotated[float, Bound(above=0, most=10**7)]
Minutes = Annotated[float, Bound(0, 10**6)]
Temperature = Annotated[float, Bound(LEAST_TEMPERATURE, 1 / LEAST_TEMPERATURE)]
Threshold = Annotated[float, Bound(-100, 100)]  # eV/atom
Thresholds = Annotated[tuple[Threshold, ...], Items(1, distinct=True, words="at least one number, each once")]

Judges = Annotated[tuple[Annotated[str, Named(POTENTIALS)], ...], Items(distinct=True)]

OWN_FOLDERS = ("src", "workflow", "config", "profiles", "tests", "docs", "tools", "bench")
ResultsFolder = Annotated[
    str,
    # stands unquoted in the shell commands of the rules
    Pattern(
        r"^(?!.*\n)[\w./][\w./+=,@:-]*$",
        "letters, digits and . _ / + = , @ : - only, no blanks; choose another folder",
    ),
    Pattern(r"^(?![A-Za-z][\w+.-]*:/)", "an address; results are written to a folder of this machine, such as results"),
    Pattern(
        r"^(?!(\.\.?/+)*\.{0,2}/*$)", "the folder that the run starts in, or one around it; name one inside, as results"
    ),
    Pattern(
        rf"^(?!(\./+)*({'|'.join(OWN_FOLDERS)})(/|$))",
        "a folder that symmcd's own files lie in; choose another, such as results",
    ),
]


class Settings:
    """Base of every section: a field takes the values of its type."""

    def __post_init__(self) -> None:
        """Check every field, and keep numbers and lists as its type has them.

        Raises:
            InputError: naming the setting, its value and its bound.
        """
        prefix = prefix_of(type(self))
        for name, hint in hints(type(self)).items():
            object.__setattr__(self, name, checked(f"{prefix}{name}", getattr(self, name), hint))


@dataclass(frozen=True)
class RunSettings(Settings):
    """The whole run: keys that stand at the top of a config file, outside its sections."""

    results: ResultsFolder = "results"  # folder for all files of the run
    seed: Seed = 0
    seeds: Seeds = ()  # one run per seed, in results/seed{n}, and seeds.csv with their spread; empty: one run of `seed`
    device: Literal["auto", "cuda", "cpu"] = "auto"  # device of training, sample, relax and reference

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_own_folders(Path(self.results))


@dataclass(frozen=True)
class ShardSettings(Settings):
    """Jobs that a stage is split into; as many run at once as there are cores, GPUs or nodes."""

    sample: Jobs = 4
    score: Jobs = 4
    relax: Jobs = 8
    judge: Jobs = 1  # for each judge


@dataclass(frozen=True)
class DataSettings(Settings):
    """Source of the crystals."""

    source: str = "mp20"  # mp20 | prototypes | a source of an installed package | a folder or csv file of yours
    url: str = ""  # downloads: a folder on the web with the files of the source; empty: the source's own addresses
    retries: Attempts = 5  # downloads: attempts per file, waiting 1, 2, 4 … seconds between them
    limit: Number = 0  # crystals kept per split, drawn by `split_seed`; 0 = all
    split: tuple[OpenShare, OpenShare, OpenShare] = (0.6, 0.2, 0.2)  # train, val, test; for a source without splits
    split_seed: Seed = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if abs(sum(self.split) - 1) > 1e-6:
            raise InputError(f"data.split = {list(self.split)}: expected three shares above 0 that add up to 1")


@dataclass(frozen=True)
class ReduceSettings(Settings):
    """Asymmetric units from raw crystals."""

    symprec: Symprec = 0.1  # Å, tolerance of the symmetry search (paper, section 5)
    max_orbits: Count = 20  # MP-20 has at most 20; crystals with more are rejects
    max_atoms: Count = 400  # atoms of the conventional cell
    max_rejected_share: Share = 0.02  # more stop the run (3 rows pass, if at most a quarter); 0 = none
    seconds: Seconds = 30.0  # wall-clock limit per crystal, then the reject `timed_out`


@dataclass(frozen=True)
class ModelSettings(Settings):
    """The generative model; fields other than `kind` belong to that kind (`symmcd.extensions.MODELS`)."""

    kind: Kind = "staged"  # ours (docs/model-study.md), the paper's, its Table 4's, a control

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self) is not MODELS[self.kind].settings:
            raise InputError(
                f"model.kind = {self.kind!r}: these settings belong to another kind of model ({type(self).__name__})"
            )


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Optimisation of the denoiser."""

    epochs: Count = 1000
    wyckoff_epochs: Count = 200  # epochs of the network for Wyckoff positions and elements (staged)
    batch_size: Count = 512
    precision: Precision = "auto"  # matrix products; auto: bfloat16 on CUDA and on processors that support it
    crystals_at_once: Number = 0  # a batch in parts of so many crystals: less memory, more time; 0 = all
    learning_rate: Positive = 1e-3
    weight_decay: NotNegative = 0.0  # decoupled from the gradient (AdamW)
    gradient_norm: Positive = 1.0  # clip by global norm
    ema_decay: BelowOne = 0.999
    loss_weights: LossWeights = field(
        default_factory=lambda: {"lattice": 5.0, "position": 1.0, "element": 0.1, "site_symmetry": 10.0}
    )
    warmup_steps: Number = 100  # the learning rate rises over these steps, then falls along a cosine
    validate_every: Count = 10  # epochs
    patience: Number = 0  # stop after so many epochs without a lower validation loss; 0 = never
    calibration_rounds: Few = 4  # passes after training that match element frequencies (staged); 0 = none
    checkpoint_minutes: Minutes = 2.0  # between checkpoints, from which a killed training resumes
    tensorboard: bool = False  # curves for TensorBoard beside losses.csv; needs the package
    weights: str = ""  # use these instead of training: mp20 or mp20-stable (shipped), or a denoiser.safetensors
    init: str = ""  # initial weights, given as for `weights`, of the same kind and widths; empty = random
    max_minutes: Minutes = 0  # end training after so many minutes, even if epochs are left; 0 = never

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights and self.init:
            raise InputError(
                f"training.weights = {self.weights} are used without training, but training.init = "
                f"{self.init} are to be trained further; leave one of them empty"
            )


OF_CHOICE = ("oversample", "stability_model", "known", "leave_out")
"""Settings of `SamplingSettings` that mean nothing where every draft is taken, with ``oversample: 1``."""


@dataclass(frozen=True)
class SamplingSettings(Settings):
    """New asymmetric units from a trained denoiser."""

    number: Count = 10_000
    batch_size: Count = 1024
    steps: Number = 0  # denoising steps, spread evenly over T; 0 = default of the kind of model
    proposals: Few = 0  # geometries drawn for each crystal, the likeliest is kept; 0 = default of the kind
    corrector: bool = True  # a Langevin step at each noise level: twice the time
    corrector_step: NotNegative = 1e-5  # size of the Langevin step in a joint model, at σ_1
    temperature: Temperature = 1.0  # Wyckoff positions and elements (`staged` only); above 1: more new templates
    precision: Precision = "auto"  # precision of matrix products, as in training
    space_groups: tuple[SpaceGroup, ...] = ()  # numbers or symbols; empty = as in the training set
    constraints: Wishes = field(default_factory=dict)  # name: value, as atoms: 4-8; `symmcd generate --help` lists them
    oversample: Oversample = 1  # drafts for each crystal; the most stable are completed (docs/stability-model.md)
    stability_model: str = "mp20"  # chooses drafts: mp20 (shipped) | fit (by this run) | a file of `symmcd surrogate`
    known: str = ""  # known materials for that model, a reference.csv; empty = MP-20's materials, shipped
    leave_out: tuple[str, ...] = ("train",)  # known crystals to skip: splits of MP-20 (train, val, test), units.npz

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in self.constraints.items():
            try:
                kind = CONSTRAINTS[name]
                if not kind.reads_file and value is not False:
                    kind.read(value)
            except (InputError, ValueError) as error:
                raise InputError(f"sampling.constraints.{name}: {error}") from None
        if self.oversample > 1 and not self.stability_model:
            raise InputError(
                f"sampling.oversample = {self.oversample} needs sampling.stability_model, "
                "which chooses among the drafts: mp20, fit or a file"
            )

    @property
    def fits(self) -> bool:
        """Return whether a run fits the stability model by itself."""
        return self.oversample > 1 and self.stability_model == "fit"


@dataclass(frozen=True)
class StabilityModelSettings(Settings):
    """The stability model that a run fits by itself, to crystals that it relaxes (sampling.stability_model: fit)."""

    oversample: Rounds = (1, 4, 20, 20)  # rounds: drafts per crystal, the most stable by the model of the rounds before
    labels: Count = 5000  # crystals relaxed in each round
    steps: Number = 25  # denoising steps of their geometries, as in `sampling`
    proposals: Few = 1  # geometries for each crystal, as in `sampling`
    relax_steps: Count = 200  # steps of relaxation in the asymmetric unit
    fmax: Positive = 0.1  # eV/Å
    max_atoms: Count = 60  # larger primitive cells are not labelled

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.oversample or self.oversample[0] != 1:
            raise InputError(
                f"stability_model.oversample = {list(self.oversample)}: the first "
                "round must be 1, because there is no model yet"
            )


@dataclass(frozen=True)
class ReplicateSettings(Settings):
    """Crystals from asymmetric units."""

    cif_folder_limit: Number = 300  # more CIFs than this go into one zip


@dataclass(frozen=True)
class ScoreSettings(Settings):
    """Validity, symmetry and distributions."""

    symprec: Symprec = 0.1  # Å, for both sides of d_sg
    smact_seconds: Seconds = 10.0  # time limit per formula
    distribution_sample: Number = 1000  # paper: 1,000 random valid crystals
    structure_cutoff: NotNegative = 0.4  # coverage: distance of CrystalNN fingerprints (CDVAE, for MP-20)
    composition_cutoff: NotNegative = 10.0  # coverage: distance of standardised Magpie fingerprints
    prototype_sample: Number = 500  # random crystals whose prototype is looked up, a quarter of a second each; 0 = none
    fingerprint_seconds: Seconds = 30.0  # wall-clock limit per crystal, then the outcome `timed_out`, a miss
    crystal_seconds: Seconds = 60.0  # `evaluate`: wall-clock limit of a row, without `smact_seconds`; then `timed_out`


@dataclass(frozen=True)
class RelaxSettings(Settings):
    """Relaxation of generated crystals by a machine-learned potential."""

    number: Count = 1000  # crystals relaxed, drawn from all samples
    draws: Count = 1  # disjoint draws of `number` crystals: S.U.N. in each draw, and its spread
    potential: Annotated[str, Named(POTENTIALS)] = "chgnet"
    method: str = "unconstrained"  # symmetry: keeps the space group; structure_optimizer: chgnet's own, one by one
    batch_size: Number = 0  # crystals in progress at once; 0 = as measured best for the device
    steps: Count = 500
    release_steps: Number = 0  # symmetry: FIRE steps afterwards without the group, to detect saddle points
    fmax: Positive = 0.1  # eV/Å
    max_atoms: Count = 200  # larger primitive cells get the status `too_large`
    seconds: Seconds = 600.0  # limit for each crystal (its share of a batch); then the status `timed_out`

    def __post_init__(self) -> None:
        super().__post_init__()
        methods = (*RELAX_METHODS, *POTENTIALS[self.potential].optimisers)
        if self.method not in methods:
            choices = ", ".join(map(repr, methods))
            raise InputError(f"relax.method = {shown(self.method)}: choose one of {choices}")
        if self.release_steps and self.method != "symmetry":
            raise InputError("relax.release_steps needs relax.method = symmetry")

    def limits(self) -> dict[str, Any]:
        """What ends a relaxation: the fields of `symmcd.stability.outcome.Limits`."""
        return {name: getattr(self, name) for name in ("steps", "fmax", "max_atoms", "seconds", "release_steps")}


@dataclass(frozen=True)
class JudgeSettings(Settings):
    """Further potentials that say which of the relaxed crystals are stable, each also over a hull of its own."""

    potentials: Judges = ()  # judges beside relax.potential; none: it judges alone, over the hull of hull.source
    relax: bool = False  # relax again by each judge, with relax.steps and relax.fmax; false: energies only


@dataclass(frozen=True)
class HullSettings(Settings):
    """Reference energies for the convex hull."""

    source: Annotated[str, Named(POTENTIALS, HULL_SOURCES)] = "chgnet"  # a potential: crystals of the data set under it
    path: str = ""  # table: csv with formula, formation_energy_per_atom; matbench-discovery: its json, if you have it
    elemental_references: str = ""  # table: json of elemental reference entries
    cache: str = ""  # file with a potential's energies of known crystals; empty: hull/energies.sqlite of the results
    url: str = ""  # matbench-discovery without `path`: an address of its file other than figshare's


@dataclass(frozen=True)
class SunSettings(Settings):
    """Stable, unique, novel."""

    thresholds: Thresholds = (0.0, 0.1)  # eV/atom above the hull
    min_elements: Annotated[int, Bound(1, 118)] = 2  # elements alone never count as stable (FlowMM's rule)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [f"{threshold:g}" for threshold in self.thresholds]  # as in the columns of sun_per_crystal.csv
        if len(set(names)) < len(names):
            raise InputError(f"sun.thresholds = {list(self.thresholds)}: at least one number, each once")


@dataclass(frozen=True)
class PredictorSettings(Settings):
    """DimeNet++ for formation energies, at CDVAE's size: the paper's Table 5, and d_E of Table 2."""

    variants: Variants = PREDICTOR_VARIANTS  # predictors to train; none: no Table 5
    d_e: PredictorVariant = "multigraph"  # predictor whose energies d_E compares
    cdvae: str = ""  # folder with CDVAE's weights (docs/table5.md), then used for d_E; empty = none
    crystals: Number = 0  # training crystals, drawn at random; 0 = all
    width: Width = 128
    blocks: Layers = 4
    interaction_width: Width = 64
    basis_width: Width = 8
    output_width: Width = 256
    spherical: Annotated[int, Bound(2, 100)] = 7  # Legendre polynomials of angles
    radial: Layers = 6  # Bessel functions of distances
    cutoff: Distance = 7.0  # Å
    neighbours: Number = 20  # nearest neighbours within the cutoff, ties included
    epochs: Count = 300
    batch_size: Count = 64
    learning_rate: Positive = 1e-3  # AdamW, falling along a cosine
    gradient_norm: Positive = 1.0  # clip by global norm
    ema_decay: BelowOne = 0.999
    checkpoint_minutes: Minutes = 2.0  # between checkpoints, from which a killed training resumes

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variants and self.d_e not in self.variants and not self.cdvae:
            raise InputError(f"predictor.d_e = {self.d_e!r} is not among predictor.variants = {list(self.variants)}")


@dataclass(frozen=True)
class ReportSettings(Settings):
    """The page at the end."""

    title: str = "symmcd report"
    drawn_crystals: Number = 6
    viewer_crystals: Number = 30  # crystals in viewer.html, the drawn ones first; 0 = no such page


SECTIONS: dict[str, type] = {
    "shards": ShardSettings,
    "data": DataSettings,
    "reduce": ReduceSettings,
    "model": ModelSettings,
    "training": TrainingSettings,
    "sampling": SamplingSettings,
    "stability_model": StabilityModelSettings,
    "replicate": ReplicateSettings,
    "score": ScoreSettings,
    "relax": RelaxSettings,
    "judge": JudgeSettings,
    "hull": HullSettings,
    "sun": SunSettings,
    "predictor": PredictorSettings,
    "report": ReportSettings,
}

GONE = {
    "model.aggregation": "messages of orbits are summed",
    "model.wyckoff_networks": "there is one network for Wyckoff positions and elements",
    "training.keep": "the weights of the epoch with the lowest validation loss are kept",
    "hull.batch_size": "a potential batches as it does best",
}
"""Settings of earlier versions, each with what is so now."""


def prefix_of(section: type) -> str:
    """Prefix of a key of a section in messages: the section's name and a dot, nothing for those at the top."""
    return next((f"{name}." for name, known in SECTIONS.items() if issubclass(section, known)), "")


def section_of(name: str, values: Mapping[str, Any]) -> Any:
    """Class of the settings of a section, which for ``model`` depends on the kind that `values` name.

    Raises:
        InputError: no such kind.
    """
    if name == "run":
        return RunSettings
    if name != "model":
        return SECTIONS[name]
    kind = checked("model.kind", values.get("kind", ModelSettings.kind), hints(ModelSettings)["kind"])
    return MODELS[kind].settings


def of_other_kinds(values: Mapping[str, Any]) -> set[str]:
    """Names in a section ``model`` that are no settings of its kind, but of another shipped one, with legal values.

    Raises:
        InputError: no such kind, or a value that the other kind refuses.
    """
    own, others = hints(section_of("model", values)), set()
    for kind in MODELS.shipped:
        known = hints(MODELS[kind].settings)
        for name in values.keys() & known.keys() - own.keys():
            checked(f"model.{name}", values[name], known[name], texts=True)
            others.add(name)
    return others


def hints(section: Any) -> dict[str, Any]:
    """Types of the fields of a section, with their bounds."""
    hints = typing.get_type_hints(section, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(section)}


def read_section(name: str, values: Mapping[str, Any] | str) -> Any:
    """Settings of one section from a mapping, or from its JSON text (as rules pass it on a command line).

    Raises:
        InputError: an unknown key (with the nearest known one), a value of the wrong type, out of its choices or out of
            its bounds.
    """
    if isinstance(values, str):
        try:
            values = json.loads(values, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits are ValueErrors only
            raise InputError(f"{name}: settings are not valid JSON: {error}") from None
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: expected a mapping of settings, got {shown(values)}")
    section = section_of(name, values)
    prefix, known = prefix_of(section), hints(section)
    for key in values:
        if key not in known and (what := GONE.get(f"{prefix}{key}")):
            raise InputError(f"{prefix}{key} was removed: {what}; leave it out")
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            advice = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"
            raise InputError(f"{prefix}{key} is not a setting{advice}")
    return section(**{key: checked(f"{prefix}{key}", value, known[key], texts=True) for key, value in values.items()})


def path_of(place: str) -> Path:
    """The file or folder that a setting names, with ``~`` and ``$VARIABLES`` expanded."""
    return Path(os.path.expandvars(place)).expanduser()


def other_source(path: Path, source: str) -> str:
    """The source that a source.json of `symmcd download` names, where that is not `source`; else empty.

    A file that is not there or is no such file names none.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    before = about.get("source") if isinstance(about, Mapping) else None
    if not isinstance(before, str) or before == source:
        return ""
    same = before not in SOURCES and source not in SOURCES and path_of(before).resolve() == path_of(source).resolve()
    return "" if same else before


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError for a key that it has twice, of which JSON would take the last in silence."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return made


def _refuse_own_folders(results: Path) -> None:
    """Raise InputError where results would lie over the working directory or the files of this package.

    The patterns of `ResultsFolder` see names only; this sees what they lead to.
    """
    whole, here, package = (Path(os.path.realpath(path)) for path in (results, Path(), Path(__file__).parent))
    if here.is_relative_to(whole):
        raise InputError(
            f"results = {str(results)!r}: this is the folder in which the run "
            "starts, or a folder above it; choose another one"
        )
    checkout = package.parent.parent
    own = [checkout / name for name in OWN_FOLDERS] if (checkout / "Snakefile").is_file() else []
    for folder in (package, *own):
        if whole.is_relative_to(folder) or folder.is_relative_to(whole):
            raise InputError(f"results = {str(results)!r}: {folder} has symmcd's own files; choose another folder")
