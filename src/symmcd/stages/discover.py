"""``symmcd discover``: from a wish to a ranked list of relaxed, judged candidates; `symmcd.discover`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from symmcd import command
from symmcd.bounds import Bound
from symmcd.discovery.defaults import NUMBER, STABLE
from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS, SCREENS
from symmcd.request import add_constraints
from symmcd.settings import Count, NotNegative, Oversample, Steps, Temperature

if TYPE_CHECKING:
    import pandas as pd

    from symmcd.discovery.run import Discovery

SHOWN = 10  # rows that the command prints
EXAMPLE = "--chemical-system Li-Fe-P-O --number 300 --output lfpo/"
INPUTS = ("vasp", "qe")


def arguments(parser: command.Parser) -> None:
    """Declare the arguments of the command line; the constraints are those of the registry."""
    parser.add_output("folder for candidates.csv, index.html and the CIFs", metavar="DIR")
    text = f"crystals to make and judge (default: {NUMBER})"
    parser.add_argument("--number", type=command.number(Count), default=NUMBER, metavar="N", help=text)
    text = "time limit: the best list that can be made in it; earlier runs in the same folder count"
    budget = command.number(Annotated[float, Bound(0.1)])
    parser.add_argument("--budget", type=budget, metavar="MINUTES", help=text)
    text = f"draw N drafts for each crystal, make those predicted to be most stable (default: {STABLE}; 1: no choice)"
    parser.add_argument("--stable", type=command.number(Oversample), default=STABLE, metavar="N", help=text)
    text = f"also write inputs of a DFT program for the candidates: {' or '.join(INPUTS)}"
    parser.add_argument("--inputs", choices=INPUTS, metavar="PROGRAM", help=text)
    add_constraints(parser)
    group = parser.add_argument_group("judging")
    text = f"potentials; the first one relaxes: {', '.join(POTENTIALS)} (default: chgnet, and sevennet-0 if installed)"
    group.add_argument("--judges", type=_names, default=(), metavar="A,B", help=text)
    text = (
        "known materials: reference.csv of `symmcd reference`, or a csv of formula, formation_energy_per_atom (eV/atom)"
    )
    group.add_argument("--hull", type=Path, metavar="FILE", help=f"{text} (default: MP-20's materials)")
    text = "units.npz of `symmcd reduce`: further known crystals, beside MP-20"
    group.add_argument("--known", type=Path, nargs="+", default=(), metavar="FILE", help=text)
    text = f"further columns: {', '.join(SCREENS)}, or none (default: all that are installed)"
    group.add_argument("--screens", type=_names, metavar="A,B", help=text)
    text = "condition on a screen that candidates must meet: 'dimensionality=2', 'channel>=1', 'radioactive=no'"
    group.add_argument("--keep", action="append", default=[], metavar="'SCREEN=X'", help=f"{text}; may be repeated")
    text = "largest energy above the hull of a candidate, by every judge, in eV/atom (default: 0.1)"
    group.add_argument("--threshold", type=command.number(NotNegative), default=0.1, metavar="E", help=text)
    group = parser.add_argument_group("making")
    text = "known crystals to skip: splits of MP-20 or units.npz, such as train,val,mine.npz (default: none)"
    group.add_argument("--leave-out", type=_names, default=(), metavar="A,B", help=text)
    text = "fitted model of `symmcd surrogate` (default: the shipped one)"
    group.add_argument("--stability-model", metavar="FILE", help=text)
    text = "weights: denoiser.safetensors of `symmcd train`, or shipped ones: mp20 (default), mp20-stable"
    group.add_argument("--checkpoint", metavar="FILE", help=text)
    text = "sampling temperature; above 1: more new templates, fewer valid crystals (default: 1)"
    group.add_argument("--temperature", type=command.number(Temperature), default=1.0, metavar="T", help=text)
    text = "denoising steps for a geometry (default: 25, as the crystals are relaxed afterwards)"
    group.add_argument("--steps", type=command.number(Steps), metavar="N", help=text)
    text = "geometries drawn for each crystal; the likeliest is kept (default: 1)"
    group.add_argument("--proposals", type=command.number(Count), metavar="N", help=text)
    parser.add_seed()
    parser.add_device()
    text = "delete the list of another command in the output folder"
    parser.add_argument("--overwrite", dest="start_over", action="store_true", help=text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip() and name.strip() != "none")


def run(
    output: Path,
    number: int = NUMBER,
    *,
    constraints: Mapping[str, Any] | None = None,
    budget: float | None = None,
    inputs: str | None = None,
    start_over: bool = False,
    **options: Any,
) -> None:
    """Make crystals, relax and judge them, and write a ranked table, CIFs and a page to the folder `output`.

    The same command in the same folder continues where an earlier one was killed or interrupted, and gives the same
    list; a finished list is written again.  See `discover` for the options.

    Raises:
        InputError: options that cannot be fulfilled, before any work; a folder with the list of another command.
        KeyboardInterrupt: after the list of finished crystals has been written.
    """
    discovery = _discovery(output, number, constraints or {}, budget, start_over, options)
    discovery.inputs = inputs
    discovery.run()
    _tell(discovery)


def discover(
    number: int = NUMBER,
    *,
    output: Path | str | None = None,
    budget: float | None = None,
    overwrite: bool = False,
    stable: int = STABLE,
    seed: int = 0,
    judges: Iterable[str] = (),
    hull: Path | str | None = None,
    known: Iterable[Path | str] = (),
    leave_out: Iterable[str | Path] = (),
    keep: str | Iterable[str] = (),
    inputs: str | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Candidates as ``symmcd discover`` ranks them: the table candidates.csv, one row per crystal, the best first.

    Args:
        number: crystals to make.
        output: folder for the table, CIFs and the page; None: nothing is kept.
        budget: minutes for the best list that fits; None: all `number` crystals, however long it takes.
        overwrite: throw away the list of another call that the folder has.
        stable: drafts for each crystal, of which the most stable are made; 1: no choice.
        seed: of the drafts; the same seed gives the same list.
        judges: potentials by their names in `extensions.POTENTIALS`, the first of which relaxes; none: CHGNet, and
            SevenNet-0 if it is installed.
        hull: reference.csv of `symmcd reference`, or a csv with formula and formation_energy_per_atom; None: the
            materials that come with the package.
        known: units.npz of crystals that are no news.
        leave_out: splits of MP-20 and units.npz whose arrangements are not made.
        keep: filters on screens, as ``["dimensionality=2", "channel>=1", "radioactive=no"]``; crystals that do not
            pass all of them have the verdict ``screened_out``.
        inputs: ``vasp`` or ``qe``: inputs of the candidates, to `output`.
        options: ``steps``, ``proposals``, ``temperature``, ``checkpoint``, ``stability_model``, ``threshold``,
            ``screens`` (names of `extensions.SCREENS`), ``device``; and constraints by their names in
            `extensions.CONSTRAINTS`, as ``chemical_system="Li-Fe-P-O"``.

    Raises:
        InputError: what cannot be done, said before any work; or a folder that holds another list.
            KeyboardInterrupt: after the list of finished crystals has been written.
    """
    import pandas as pd

    from symmcd.threads import let_threads_sleep

    let_threads_sleep()
    plain = {"steps", "proposals", "temperature", "checkpoint", "stability_model", "threshold", "device", "screens"}
    constraints = {name: value for name, value in options.items() if name not in plain}
    chosen: dict[str, Any] = {name: value for name, value in options.items() if name in plain}
    chosen |= {"stable": stable, "seed": seed, "judges": tuple(judges), "known": tuple(map(Path, known))}
    chosen |= {"hull": None if hull is None else Path(hull), "leave_out": tuple(map(str, leave_out))}
    chosen["keep"] = (keep,) if isinstance(keep, str) else tuple(keep)
    if inputs is not None and inputs not in INPUTS:
        raise InputError(f"inputs = {inputs!r}: choose from {', '.join(INPUTS)}")
    with tempfile.TemporaryDirectory() as nowhere:
        folder = Path(output) if output is not None else Path(nowhere)
        discovery = _discovery(folder, number, constraints, budget, overwrite, chosen)
        discovery.inputs = inputs
        discovery.run()
        from symmcd.discovery.files import columns

        return pd.DataFrame(discovery.rows, columns=columns(discovery.rows, discovery.plan.potentials))


def _discovery(
    folder: Path,
    number: int,
    constraints: Mapping[str, Any],
    budget: float | None,
    start_over: bool,
    options: Mapping[str, Any],
) -> Discovery:
    """The plan, looked at before anything heavy is loaded, at work in a folder."""
    from symmcd.discovery.plan import Plan

    given = {name: value for name, value in options.items() if value is not None}
    plan = Plan(number=number, constraints=constraints, **given)
    abilities = plan.check()
    from symmcd.discovery import run as running
    from symmcd.discovery.announcement import announcement
    from symmcd.discovery.claim import start_over as begin_anew

    if start_over:
        begin_anew(folder)
    discovery = running.Discovery(plan, folder, None if budget is None else 60 * budget)
    print(announcement(discovery, abilities), file=sys.stderr, flush=True)
    return discovery


def _tell(discovery: Discovery) -> None:
    """Print the first rows of the table and the names of the files."""
    from symmcd.discovery.announcement import closing

    print(closing(discovery, SHOWN))
