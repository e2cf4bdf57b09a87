"""Section on the run: settings, the drawn crystals, and the limits in plain words."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import numpy as np
from markupsafe import Markup

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit
from symmcd.crystallography.space_group import symbol
from symmcd.errors import InputError
from symmcd.metrics import oversampling
from symmcd.report.crystal_drawing import draw_crystal, element_colours, write_gallery
from symmcd.report.load import Results
from symmcd.report.page import Section, Table, Text, place_drawing
from symmcd.report.sections import untrained
from symmcd.report.typesetting import formula_html, symbol_html
from symmcd.report.viewer import write_viewer
from symmcd.stability.judge_words import judge_name, judge_sentence, kinds_of, listed, several
from symmcd.stability.judges import OWN

PACKAGES = ("symmcd", "torch", "chgnet", "sevenn", "pymatgen", "spglib", "smact", "numpy", "snakemake")
LARGEST_DRAWN = 200  # atoms; more are a heap of spheres


def trained(results: Results) -> str:
    """Duration of the training."""
    if not len(results.losses):
        return f"none in this run: {untrained(results)}"
    return f"{len(results.losses):,} epochs, {duration(float(results.losses['seconds'].sum()))}"


def run(results: Results, relaxation: str = "") -> Section:
    """Data, sizes, seed, device, versions, and how long each stage took; how it was relaxed where that is known."""
    training = results.training
    of_model = training["model"]
    sizes = [f"{name} {of_model[name]:,}" for name in ("width", "layers", "steps") if name in of_model]
    model = ", ".join([results.model, *sizes])
    facts: list[tuple[Text, Text]] = [
        ("Data", f"{results.source['source']}: {len(results.train):,} training, {len(results.test):,} test crystals"),
        (
            "Generated",
            f"{len(results.generated):,} crystals, of which {len(results.relaxed):,} relaxed with {results.potential}",
        ),
        *([("Chosen", oversampling.sentence(results.best_of))] if results.best_of is not None else []),
        *([("Relaxation", relaxation)] if relaxation else []),
        *([("Judges", listed([judge_name(judge) for judge in results.judges]))] if several(results.hull) else []),
        ("Model", f"{training['parameters']:,} parameters ({model})"),
        ("Training", trained(results)),
        ("Seed", str(results.seed)),
    ]
    of_weights = {"device": "Trained on", "commit": "Weights made at commit"}  # not of what made this page
    facts += [(label, str(training[name])) for name, label in of_weights.items() if training.get(name)]
    facts.append(("Versions", f"{', '.join(versions())} (installed when this page was made)"))
    table = Table(
        caption=Markup(
            "<b>Time</b> of each stage: wall-clock time added up over its jobs, and the largest memory of a job;"
            " commit of symmcd that its jobs ran at, with + where files had been changed since."
        ),
        head=("stage", "jobs", "time", "memory", "commit"),
        rows=[
            (
                s.name,
                f"{s.jobs}",
                duration(s.seconds),
                "–" if s.memory is None else f"{s.memory / 1024:.1f} GB",
                ", ".join(s.makers) or "–",
            )
            for s in results.stages
        ],
        numbers=frozenset({1, 2, 3}),
        folded=f"Time and memory of each stage ({duration(sum(s.seconds for s in results.stages))} in all)",
    )
    return Section("run", "What was run", facts=facts, tables=(table,) if results.stages else ())


def versions() -> list[str]:
    """``name version`` of the packages that results depend on, Python first."""
    lines = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:  # run from a source tree, or without snakemake
            continue
    return lines


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def choose(results: Results, number: int, more: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of crystals to draw, in order, and of crystals for the viewer: those first, and others up to `more`."""
    candidates = valid_and_small(results)
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(candidates, min(number, len(candidates)), replace=False))
    left = np.setdiff1d(candidates, drawn)
    others = np.sort(rng.choice(left, max(0, min(more - len(drawn), len(left))), replace=False))
    return drawn, np.concatenate([drawn, others])[:more]


def viewer(results: Results, folder: Path, chosen: np.ndarray, seed: int) -> Path:
    """The page of crystals to turn and zoom, beside the report; its path."""
    text = (
        f"{len(chosen)} crystals taken at random (seed {seed}) from those of {len(results.generated):,} that are valid"
        f" both ways and have at most {LARGEST_DRAWN} atoms in the conventional cell; not chosen by looks."
    )
    labels = results.generated.label[chosen].tolist()
    return write_viewer(folder, [results.generated[index] for index in chosen.tolist()], labels, text)


def crystals(results: Results, folder: Path, chosen: np.ndarray, seed: int, *, in_viewer: int) -> Section:
    """Some valid crystals, drawn at random and not chosen by looks; a link to the viewer if it has any."""
    candidates = valid_and_small(results)
    drawings, units, images = [], [], []
    for place, index in enumerate(chosen.tolist(), 1):
        unit = results.generated[index]
        formula = unit.formula
        units.append(unit)
        images.append(draw_crystal(unit))
        alternative = f"Conventional cell of {formula}, {symbol(unit.space_group)}"
        caption = caption_of(unit, str(results.generated.label[index]))
        drawings.append(place_drawing(images[-1], folder, f"crystal_{place}", caption, alternative))
    if units:
        write_gallery(folder / "crystals.png", units, images=images)
    text = (
        f"{len(chosen)} crystals taken at random (seed {seed}) from the {len(candidates):,} of"
        f" {len(results.generated):,} that are valid both ways and have at most {LARGEST_DRAWN} atoms in the"
        " conventional cell; as generated, before any relaxation."
    )
    key = (
        "Atoms in Jmol’s colours, cell edges a, b, c in red, green, blue; atoms on faces, edges and corners are"
        " completed; lines join atoms closer than 1.15 times the sum of their covalent radii, unless both are metals."
    )
    paragraphs: list[Text] = [text, key]
    if in_viewer:
        link = Markup(
            '<a href="viewer.html">Turn and zoom {} crystals in three dimensions</a> (viewer.html beside this;'
            " “crystals to turn” in Snakemake’s own report)."
        )
        paragraphs.append(link.format(in_viewer))
    title = "Six crystals" if len(chosen) == 6 else "Crystals"
    return Section("crystals", title, paragraphs=paragraphs, drawings=drawings)


def valid_and_small(results: Results) -> np.ndarray:
    """Indices of the generated crystals that are valid both ways and small enough to draw.

    Raises:
        InputError: per_crystal.csv and units.npz name other crystals.
    """
    place = {label: i for i, label in enumerate(results.generated.label.tolist())}
    table = results.per_crystal
    unknown = [name for name in table["id"] if name not in place]
    if unknown:
        raise InputError(
            f"{results.folder / 'metrics/per_crystal.csv'}: crystal {unknown[0]} is not in crystals/units.npz;"
            " run `symmcd score` and `symmcd summarise` again"
        )
    valid = (table["structurally_valid"].astype(str) == "True") & (table["compositionally_valid"].astype(str) == "True")
    indices = np.array([place[name] for name in table["id"][valid]], int)
    return indices[results.generated.number_of_atoms[indices] <= LARGEST_DRAWN]


def caption_of(unit: AsymmetricUnit, label: str) -> Markup:
    """Formula, space group, size, and the key to the colours."""
    dot = Markup('<span class="key"><i style="background:{}"></i>{}</span>')
    colours = element_colours(list(dict.fromkeys(unit.element.tolist())))
    return Markup('<span class="formula">{}</span> &#160;{} ({})<br/>{}<br/>{} atom{}, id {}').format(
        formula_html(unit.formula),
        symbol_html(unit.space_group),
        unit.space_group,
        Markup("").join(dot.format(colour, name) for name, colour in colours.items()),
        unit.number_of_atoms,
        "" if unit.number_of_atoms == 1 else "s",
        label,
    )


LIMITS = """
Energies are those of {potential}; nothing here was computed by DFT, and nothing was made in a laboratory.

Stable means close to the hull {hulls}. A hull knows only the phases that were put into it: where a competing phase is
missing, crystals look more stable than they are.

Relaxation finds a nearby minimum of the energy at 0 K. Vibrations, temperature and pressure are left out, and so is
whether a crystal could be made.

Novel means unlike the training crystals, not unknown to science; a crystal may well be in a database that was not part
of the training.

Validity is a low bar: atoms 0.5 Å apart pass the structural test, and charges that could balance pass the compositional
one.

The 95 % intervals count the crystals sampled from this one trained model. Another training seed would move the numbers
too, and that is not in the intervals.
"""


def limits(results: Results) -> Section:
    """Limits of the numbers."""
    names = kinds_of(results.hull) if several(results.hull) else results.hull["hull"]
    hulls = ", ".join("that each judge has of its own" if name == OWN else f"“{name}”" for name in dict.fromkeys(names))
    sentences = listed([judge_sentence(judge) for judge in results.judges])
    points = [
        " ".join(point.split()) for point in LIMITS.format(hulls=hulls, potential=sentences).strip().split("\n\n")
    ]
    if results.best_of is not None:
        points.insert(0, f"The crystals are {oversampling.chosen(results.best_of)}. {oversampling.OF_BOTH}")
    return Section("limits", "Limits", points=points)
