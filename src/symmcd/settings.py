"""Settings of every stage: one frozen dataclass per section of ``config/*.yaml``, checked once at the border.

Standard library only, because training and sampling run on machines without pydantic.  Below ``stages/`` no function
sees these objects; they get plain arguments.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import json
import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from symmcd.errors import InputError

Section = TypeVar("Section")
Precision = Literal["auto", "float32", "bfloat16"]
RelaxMethod = Literal["structure_optimizer", "unconstrained", "symmetry"]
PredictorVariant = Literal["multigraph", "multigraph_site_symmetry", "asymmetric_unit", "asymmetric_unit_site_symmetry"]
PREDICTOR_VARIANTS: tuple[PredictorVariant, ...] = typing.get_args(PredictorVariant)


@dataclass(frozen=True)
class RunSettings:
    """The whole run: keys that stand at the top of a config file, outside its sections."""

    results: str = "results"  # folder that everything is written to
    seed: int = 0
    device: Literal["auto", "cuda", "cpu"] = "auto"  # of trainings, sample, relax and reference

    def __post_init__(self) -> None:
        # stands unquoted in the shell commands of the rules
        if not re.fullmatch(r"[\w./][\w./+=,@:-]*", self.results):
            raise InputError(
                f"results = {self.results!r}: letters, digits and . _ / + = , @ : - only, no blanks; choose another "
                "folder"
            )
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: at least 0")


@dataclass(frozen=True)
class ShardSettings:
    """Jobs that a stage is split into; as many run at once as there are cores, GPUs or nodes."""

    sample: int = 4
    score: int = 4
    relax: int = 8

    def __post_init__(self) -> None:
        for name, number in dataclasses.asdict(self).items():
            if number < 1:
                raise InputError(f"shards.{name} = {number}: at least 1")


@dataclass(frozen=True)
class DataSettings:
    """Where crystals come from."""

    source: str = "mp20"  # mp20 | prototypes | a folder or csv file of yours
    url: str = "https://raw.githubusercontent.com/txie-93/cdvae/main/data/mp_20"
    retries: int = 5  # downloads: attempts a file, waiting 1, 2, 4 … seconds between them
    limit: int = 0  # crystals kept a split, drawn by `split_seed`; 0 = all
    split: tuple[float, float, float] = (0.6, 0.2, 0.2)  # only for a source that comes in one piece
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.retries < 1 or self.limit < 0 or self.split_seed < 0:
            raise InputError("data.retries must be at least 1, data.limit and data.split_seed at least 0")
        if min(self.split) <= 0 or abs(sum(self.split) - 1) > 1e-6:
            raise InputError(f"data.split = {self.split}: three shares above 0 that add up to 1")


@dataclass(frozen=True)
class ReduceSettings:
    """Asymmetric units from raw crystals."""

    symprec: float = 0.1  # Å, tolerance of the symmetry search (paper, section 5)
    max_orbits: int = 20  # MP-20 has at most 20; larger crystals are listed as rejects
    max_atoms: int = 400  # atoms of the conventional cell
    max_rejected_share: float = 0.02  # more stop the run; 3 never do, if at most a quarter of the rows; 0 = none may


@dataclass(frozen=True)
class ModelSettings:
    """The denoiser: ours, in two stages, or the paper's (its appendix E; config/paper.yaml)."""

    kind: Literal["staged", "joint", "unit_cell"] = "staged"  # ours (docs/model-study.md); the paper's; its Table 4's
    width: int = 256
    layers: int = 6
    frequencies: int = 128  # Fourier features of coordinate differences; not of `staged`, which sees distances
    time_features: int = 10
    steps: int = 1000  # T
    sigma_min: float = 0.005  # wrapped normal, fractional
    sigma_max: float = 0.5
    aggregation: Literal["sum", "mean"] = "sum"  # over orbits; the paper prints sums, the authors' code takes means
    standardise_lattice: bool = True  # diffuse (k - mean)/std of the training set; the paper diffuses k itself
    wyckoff_width: int = 192  # of the transformer for Wyckoff positions and elements; `staged` only, like what follows
    wyckoff_layers: int = 6
    wyckoff_heads: int = 4
    wyckoff_networks: int = 1  # such transformers, trained apart; the mean of their probabilities is drawn from
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.frequencies, self.steps) < 1:
            raise InputError("model.width, .layers, .frequencies and .steps must be at least 1")
        of_wyckoff = self.wyckoff_width, self.wyckoff_layers, self.wyckoff_heads, self.wyckoff_networks
        if min(of_wyckoff) < 1 or not 0 <= self.dropout < 1:
            raise InputError(
                "model.wyckoff_width, .wyckoff_layers, .wyckoff_heads and .wyckoff_networks at least 1, "
                ".dropout from 0 to 1"
            )
        if self.wyckoff_width % self.wyckoff_heads:
            raise InputError(
                f"model.wyckoff_width = {self.wyckoff_width}: a multiple of .wyckoff_heads = {self.wyckoff_heads}"
            )
        if self.time_features < 2 or self.time_features % 2:
            raise InputError(f"model.time_features = {self.time_features}: an even number, half sines and half cosines")
        if not 0 < self.sigma_min < self.sigma_max:
            raise InputError(
                f"model.sigma_min = {self.sigma_min} must lie between 0 and model.sigma_max = {self.sigma_max}"
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """Networks trained apart: ``wyckoff``, ``wyckoff_2`` …, ``geometry`` of our model, none of a joint one."""
        if self.kind != "staged":
            return ()
        return "wyckoff", *(f"wyckoff_{number}" for number in range(2, self.wyckoff_networks + 1)), "geometry"


@dataclass(frozen=True)
class TrainingSettings:
    """Optimisation of the denoiser."""

    epochs: int = 1000
    wyckoff_epochs: int = 200  # of the network for Wyckoff positions and elements (model.kind: staged)
    batch_size: int = 512
    precision: Precision = "auto"  # of matrix products; auto: bfloat16 on CUDA and processors that multiply it
    crystals_at_once: int = 0  # of a batch, gradients added up over its parts: less memory, more time; 0 = all
    learning_rate: float = 1e-3
    weight_decay: float = 0.0  # decoupled from the gradient (AdamW)
    gradient_norm: float = 1.0  # clip by global norm
    ema_decay: float = 0.999
    loss_weights: Mapping[str, float] = field(
        default_factory=lambda: {"lattice": 5.0, "position": 1.0, "element": 0.1, "site_symmetry": 10.0}
    )
    warmup_steps: int = 100  # over which the learning rate rises, before it falls along a cosine
    validate_every: int = 10  # epochs
    keep: Literal["best", "last"] = "best"  # averaged weights: of the epoch with the lowest validation loss, of the end
    patience: int = 0  # epochs without a lower validation loss after which a training ends; 0 = it does not
    calibration_rounds: int = 4  # passes afterwards that make elements as frequent as they are (staged); 0 = none
    checkpoint_minutes: float = 2.0  # between two states that a killed training goes on from
    tensorboard: bool = False  # curves for TensorBoard beside losses.csv; needs the package
    weights: str = ""  # no training: `mp20`, the shipped ones, or the denoiser.safetensors of another run
    max_minutes: float = 0  # end the schedule after so long, if not all epochs are done by then; 0 = never

    def __post_init__(self) -> None:
        if min(self.epochs, self.wyckoff_epochs, self.batch_size, self.validate_every) < 1:
            raise InputError("training.epochs, .wyckoff_epochs, .batch_size and .validate_every must be at least 1")
        if min(self.patience, self.calibration_rounds) < 0:
            raise InputError(
                f"training.patience = {self.patience}, .calibration_rounds = {self.calibration_rounds}: "
                "a number, or 0 for none"
            )
        if set(self.loss_weights) != {"lattice", "position", "element", "site_symmetry"}:
            raise InputError(
                f"training.loss_weights = {dict(self.loss_weights)}: lattice, position, element and site_symmetry"
            )


@dataclass(frozen=True)
class SamplingSettings:
    """New asymmetric units from a trained denoiser."""

    number: int = 10_000
    batch_size: int = 1024
    steps: int = 0  # reverse steps, spread evenly over T; 0 = all T of a joint model, 50 of a staged one
    proposals: int = 0  # geometries a crystal, the likeliest is kept; 0 = 4 of a staged model, 1 of a joint one
    corrector: bool = True  # a Langevin step at each noise level: twice the time
    corrector_step: float = 1e-5  # its size in a joint model, at σ_1
    temperature: float = 1.0  # of Wyckoff positions and elements (model.kind: staged): above 1, more new templates
    precision: Precision = "auto"  # of matrix products, as in training
    space_groups: tuple[int, ...] = ()  # empty = as in the training set

    def __post_init__(self) -> None:
        if min(self.number, self.batch_size) < 1 or min(self.steps, self.proposals) < 0:
            raise InputError("sampling.number and .batch_size must be at least 1, .steps and .proposals at least 0")
        if not self.temperature > 0:
            raise InputError(f"sampling.temperature = {self.temperature}: above 0, 1 as trained")
        wrong = [str(group) for group in self.space_groups if not 1 <= group <= 230]
        if wrong:
            raise InputError(f"sampling.space_groups: {', '.join(wrong)}: space groups are 1 to 230")


@dataclass(frozen=True)
class ReplicateSettings:
    """Crystals from asymmetric units."""

    cif_folder_limit: int = 300  # more crystals than this go into one zip


@dataclass(frozen=True)
class ScoreSettings:
    """Validity, symmetry and distributions."""

    symprec: float = 0.1  # Å, for both sides of d_sg
    smact_seconds: float = 10.0  # time limit a formula
    distribution_sample: int = 1000  # paper: 1,000 random valid crystals
    structure_cutoff: float = 0.4  # coverage: distance of CrystalNN fingerprints (CDVAE, for MP-20)
    composition_cutoff: float = 10.0  # coverage: distance of standardised Magpie fingerprints
    prototype_sample: int = 500  # random crystals whose prototype is looked up, a quarter of a second each; 0 = none
    fingerprint_seconds: float = 30.0  # wall-clock limit a crystal, then the outcome `timed_out`, a miss

    def __post_init__(self) -> None:
        for name in ("symprec", "smact_seconds", "fingerprint_seconds"):
            if not getattr(self, name) > 0:
                raise InputError(f"score.{name} = {getattr(self, name)}: above 0")
        for name in ("distribution_sample", "structure_cutoff", "composition_cutoff", "prototype_sample"):
            if not getattr(self, name) >= 0:
                raise InputError(f"score.{name} = {getattr(self, name)}: at least 0")


@dataclass(frozen=True)
class RelaxSettings:
    """CHGNet relaxation."""

    number: int = 1000  # crystals relaxed, drawn from all samples
    draws: int = 1  # so many times `number`, no crystal twice: what S.U.N. is in each draw, and how much that varies
    method: RelaxMethod = "unconstrained"  # CHGNet's own, one by one; the same (paper) batched; keeping the space group
    batch_size: int = 0  # crystals in progress at once; 0 = as measured best for the device
    steps: int = 500
    release_steps: int = 0  # symmetry: FIRE steps afterwards without the group, to see whether it held up a saddle
    fmax: float = 0.1  # eV/Å
    max_atoms: int = 200  # larger primitive cells get the status `too_large`
    seconds: float = 600.0  # limit a crystal, of a batch its share of the time; then the status `timed_out`

    def __post_init__(self) -> None:
        if min(self.batch_size, self.release_steps) < 0:
            raise InputError("relax.batch_size and relax.release_steps must be at least 0")
        for name in ("number", "draws", "steps", "max_atoms"):
            if getattr(self, name) < 1:
                raise InputError(f"relax.{name} = {getattr(self, name)}: at least 1")
        for name in ("fmax", "seconds"):
            if not getattr(self, name) > 0:
                raise InputError(f"relax.{name} = {getattr(self, name)}: above 0")
        if self.release_steps and self.method != "symmetry":
            raise InputError("relax.release_steps goes with relax.method = symmetry only")


@dataclass(frozen=True)
class HullSettings:
    """Reference energies for the convex hull."""

    source: Literal["table", "chgnet", "matbench-discovery"] = "chgnet"
    path: str = ""  # table: csv with formula, formation_energy_per_atom; matbench-discovery: its json, if it is here
    elemental_references: str = ""  # table: json of elemental reference entries
    batch_size: int = 16  # chgnet: reference crystals computed at once
    url: str = "https://figshare.com/ndownloader/files/40344436"  # matbench-discovery, where `path` is empty

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"hull.batch_size = {self.batch_size}: at least 1")


@dataclass(frozen=True)
class SunSettings:
    """Stable, unique, novel."""

    thresholds: tuple[float, ...] = (0.0, 0.1)  # eV/atom above the hull
    min_elements: int = 2  # elements alone never count as stable (FlowMM's rule)

    def __post_init__(self) -> None:
        names = [f"{threshold:g}" for threshold in self.thresholds]  # as in the columns of sun_per_crystal.csv
        if not names or len(set(names)) < len(names) or "nan" in names:
            raise InputError(f"sun.thresholds = {list(self.thresholds)}: at least one number, each once")


@dataclass(frozen=True)
class PredictorSettings:
    """DimeNet++ for formation energies, at CDVAE's size: the paper's Table 5, and d_E of Table 2."""

    variants: tuple[PredictorVariant, ...] = PREDICTOR_VARIANTS  # that are trained; none: no Table 5
    d_e: PredictorVariant = "multigraph"  # whose energies d_E compares
    cdvae: str = ""  # folder with CDVAE's own weights (docs/table5.md), to take for d_E instead; empty = none
    crystals: int = 0  # of the training set, drawn at random; 0 = all
    width: int = 128
    blocks: int = 4
    interaction_width: int = 64
    basis_width: int = 8
    output_width: int = 256
    spherical: int = 7  # Legendre polynomials of angles
    radial: int = 6  # Bessel functions of distances
    cutoff: float = 7.0  # Å
    neighbours: int = 20  # nearest within the cutoff, and all as far as the last
    epochs: int = 300
    batch_size: int = 64
    learning_rate: float = 1e-3  # of AdamW, falling along a cosine
    gradient_norm: float = 1.0  # clip by global norm
    ema_decay: float = 0.999
    checkpoint_minutes: float = 2.0  # between two states that a killed training goes on from

    def __post_init__(self) -> None:
        counts = ("width", "blocks", "interaction_width", "basis_width", "output_width", "radial", "epochs")
        for name, least in (*((name, 1) for name in counts), ("batch_size", 1), ("spherical", 2), ("crystals", 0)):
            if getattr(self, name) < least:
                raise InputError(f"predictor.{name} = {getattr(self, name)}: at least {least}")
        if not self.cutoff > 0 or self.neighbours < 0:
            raise InputError(
                "predictor.cutoff must be above 0, predictor.neighbours at least 0 (0 = all in the cutoff)"
            )
        if len(set(self.variants)) < len(self.variants):
            raise InputError(f"predictor.variants = {list(self.variants)}: each once")
        if self.variants and self.d_e not in self.variants and not self.cdvae:
            raise InputError(f"predictor.d_e = {self.d_e!r} is not among predictor.variants = {list(self.variants)}")


@dataclass(frozen=True)
class ReportSettings:
    """The page at the end."""

    title: str = "symmcd report"
    drawn_crystals: int = 6
    viewer_crystals: int = 30  # of the page viewer.html, to turn and zoom; the drawn ones come first; 0 = no such page

    def __post_init__(self) -> None:
        for name in ("drawn_crystals", "viewer_crystals"):
            if getattr(self, name) < 0:
                raise InputError(f"report.{name} = {getattr(self, name)}: at least 0")


SECTIONS: dict[str, type] = {
    "shards": ShardSettings,
    "data": DataSettings,
    "reduce": ReduceSettings,
    "model": ModelSettings,
    "training": TrainingSettings,
    "sampling": SamplingSettings,
    "replicate": ReplicateSettings,
    "score": ScoreSettings,
    "relax": RelaxSettings,
    "hull": HullSettings,
    "sun": SunSettings,
    "predictor": PredictorSettings,
    "report": ReportSettings,
}


def read_section(name: str, values: Mapping[str, Any] | str) -> Any:
    """Settings of one section from a mapping, or from its JSON text (as rules pass it on a command line).

    Raises:
        InputError: an unknown key (with the nearest known one), a value of the wrong type or out of its choices.
    """
    if isinstance(values, str):
        try:
            values = json.loads(values)
        except json.JSONDecodeError as error:
            raise InputError(f"{name}: settings are not valid JSON: {error}") from None
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: expected a mapping of settings, got {values!r}")
    section, prefix = (RunSettings, "") if name == "run" else (SECTIONS[name], f"{name}.")
    hints = typing.get_type_hints(section)
    fields = {f.name for f in dataclasses.fields(section)}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(str(key), fields, n=1)
            advice = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(fields))}"
            raise InputError(f"{prefix}{key} is not a setting{advice}")
    return section(**{key: _checked(f"{prefix}{key}", value, hints[key]) for key, value in values.items()})


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
    names = {"mp20", "prototypes"}
    same = not names & {before, source} and path_of(before).resolve() == path_of(source).resolve()
    return "" if same else before


def _checked(name: str, value: Any, hint: Any) -> Any:
    """`value` as `hint` says, or an InputError that names the setting."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _checked(name, value, next(a for a in arguments if a is not type(None)))
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{name} = {value!r}: choose one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise InputError(f"{name} = {value!r}: expected {len(kinds)} values")
        return tuple(_checked(f"{name}[{i}]", v, k) for i, (v, k) in enumerate(zip(value, kinds, strict=True)))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {str(k): _checked(f"{name}.{k}", v, arguments[1]) for k, v in value.items()}
    if isinstance(value, str) and hint in (int, float, bool):  # Snakemake hands over --config 'a={b: 1}' as texts
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(value.lower() if hint is bool else value)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, str):
        return value
    kind = getattr(hint, "__name__", str(hint)) if origin is None else str(hint).replace("typing.", "")
    raise InputError(f"{name} = {value!r}: expected {kind}, got {type(value).__name__}")
