"""`symmcd discover` from a plan to a folder: drafts, crystals shard by shard, table, files.  A killed run goes on."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from symmcd.crystallography.asymmetric_unit import AsymmetricUnit, labels_of
from symmcd.crystallography.drafts import Drafts
from symmcd.diffusion.constraints.constraint import of_geometries
from symmcd.diffusion.constraints.together import named_elements
from symmcd.diffusion.generator import Generator
from symmcd.discovery import drafts as drafting
from symmcd.discovery import files, inputs, page
from symmcd.discovery.claim import claim
from symmcd.discovery.course import Course
from symmcd.discovery.drafts import Chosen
from symmcd.discovery.hulls import NamedEntries, hulls_of
from symmcd.discovery.judgements import Hulls
from symmcd.discovery.known import KnownMaterials, elements_of, own_name
from symmcd.discovery.plan import Plan
from symmcd.discovery.shards import SIZE, Machine
from symmcd.discovery.summary import summary
from symmcd.discovery.table import ranked
from symmcd.discovery.unit_json import from_json
from symmcd.journal import Journal
from symmcd.one_writer import one_writer
from symmcd.provenance import version
from symmcd.stability.hull import ConvexHull
from symmcd.stability.hull_sources import from_units
from symmcd.stability_model.materials import arrangements_of
from symmcd.stability_model.model import StabilityModel, model_path
from symmcd.storage import read_units
from symmcd.writing import delete

CRYSTALS, FINISH = "crystals", "rows of the table"
# seconds on a core of 2024, until this run has measured its own: a draft, freely and under constraints; a crystal
DRAFT, CONSTRAINED_DRAFT, CRYSTAL, ROW = 0.001, 0.06, 0.6, 0.03
KEPT_BACK = 15.0  # seconds of a budget for the table and the files


@dataclass(eq=False)
class Discovery:
    """A plan at work in a folder."""

    plan: Plan
    folder: Path
    budget: float | None = None  # seconds
    inputs: str | None = None  # vasp or qe
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    own: dict[str, ConvexHull] = field(default_factory=dict)  # for each judge's own energies

    @functools.cached_property
    def generator(self) -> Generator:
        """The network that draws; loaded where something is left to draw."""
        return Generator.load(self.plan.weights, self.plan.device)

    @functools.cached_property
    def hulls(self) -> dict[str, NamedEntries]:
        """Entries that each judge is held against."""
        return hulls_of(self.plan.potentials, self.plan.hull)

    @functools.cached_property
    def known(self) -> KnownMaterials:
        """Known crystals."""
        return KnownMaterials.of((own_name(path), read_units(path)) for path in self.plan.known)

    def run(self) -> None:
        """Run everything; after an interrupt the finished crystals are written first.

        Raises:
            InputError: as `Plan.check`, a folder of another plan, or one that another process works in.
            KeyboardInterrupt: after the list of finished crystals has been written.
        """
        work = self.folder / files.WORK
        with one_writer(self.folder / files.TABLE), contextlib.ExitStack() as open_journals:
            claim(self.folder, self.plan)
            drafts_journal = drafting.journal_of(work, self.plan.drafts_identity(drafting.BLOCK))
            open_journals.callback(drafts_journal.close)
            journal = Journal(work / "crystals", self.plan.identity())
            open_journals.callback(journal.close)
            spent = sum(line.get("seconds", 0.0) for line in (*drafts_journal.done, *journal.done))
            course = Course(self.budget, spent)
            total = self.plan.number * self.plan.stable
            course.expect(drafting.STAGE, total, CONSTRAINED_DRAFT if self.plan.constraints else DRAFT)
            course.expect(CRYSTALS, self.plan.number, CRYSTAL)
            course.expect(FINISH, self.plan.number, ROW)
            interrupt: KeyboardInterrupt | None = None
            drafts: Drafts | None = None
            chosen = Chosen([], [], "")
            try:
                drafts = self._drafts(drafts_journal, journal, course)
                chosen = self._chosen(drafts, journal)
                self._own_hulls(drafts, chosen, work)
                self._shards(drafts, chosen, journal, course)
            except KeyboardInterrupt as error:
                course.close()
                interrupt = error
            if interrupt is not None and not any("crystals" in line for line in journal.done):
                print(
                    "interrupted before the first crystal was finished; the same command continues from here",
                    file=sys.stderr,
                )
                raise interrupt
            if drafts is not None:
                self._finish(drafts, chosen, journal, course)
            course.close()
        if interrupt is not None:
            print(
                "interrupted: the list has all finished crystals; the same command continues from here", file=sys.stderr
            )
            raise interrupt

    def _drafts(self, journal: Journal, crystals: Journal, course: Course) -> Drafts:
        """All drafts, as many as there were when the choice was made if it has been."""
        wanted, enough = self.plan.number * self.plan.stable, self.plan.number
        made = next((line["choice"]["of"] for line in crystals.done if "choice" in line), None)
        if made is not None:
            wanted = enough = made

        def draw(numbers: np.ndarray) -> Drafts:
            return self.generator.draft(
                numbers, seed=self.plan.seed, temperature=self.plan.temperature, **self.plan.constraints
            )

        like = Drafts.none(self.plan.seed, of_geometries(self.plan.asked()))
        return drafting.drawn(draw, wanted, like, journal, course, enough)

    def _chosen(self, drafts: Drafts, journal: Journal) -> Chosen:
        """The choice in the journal, or one made now."""
        for line in journal.done:
            if "choice" in line:
                choice = line["choice"]
                return Chosen(**{name: value for name, value in choice.items() if name != "of"})
        model = StabilityModel.read(model_path(self.plan.stability_model)) if self.plan.stable > 1 else None
        first = self.hulls[self.plan.potentials[0]]
        hull = first.hull(_elements_in(drafts))
        asked = named_elements(self.plan.asked())
        left_out = arrangements_of(self.plan.leave_out)
        chosen = drafting.chosen(drafts, self.plan.number, model, hull, asked, left_out)
        chosen = replace(chosen, version=version())
        journal.append({"choice": {**chosen.as_json(), "of": len(drafts)}})
        return chosen

    def _own_hulls(self, drafts: Drafts, chosen: Chosen, work: Path) -> None:
        """Hulls of the judges' own energies of the user's known crystals, where there are such.

        Only crystals that have a part in the hull at one of the drafts are computed; what is known from an earlier run
        is not computed again.
        """
        if not self.plan.known:
            return
        systems = {frozenset(of) for of in drafts.take(chosen.row).elements}
        sets = [(own_name(path), read_units(path)) for path in self.plan.known]
        for judge in self.plan.potentials:
            own = from_units(judge, sets, self.plan.device, work / "energies.sqlite", systems)
            self.own[judge] = NamedEntries(own.name, own.entries).hull()

    def _shards(self, drafts: Drafts, chosen: Chosen, journal: Journal, course: Course) -> None:
        """Make and judge the crystals that the journal lacks, as many as the budget lets."""
        ids = self.ids(chosen)
        done = {line["shard"] for line in journal.done if "shard" in line}
        parts = [range(first, min(first + SIZE, len(ids))) for first in range(0, len(ids), SIZE)]
        there = sum(len(part) for shard, part in enumerate(parts) if shard in done)
        course.expect(CRYSTALS, len(ids), CRYSTAL, there)
        course.expect(FINISH, len(ids), ROW)
        plan = self.plan
        machine = Machine(self._make, plan.potentials, plan.limits, plan.device, plan.screened)
        course.say(at_once=True)
        if len(done) < len(parts):
            _ = self.generator, machine.potentials  # loaded here, so that the time of a crystal is its own
        made_by = version()
        course.begin()
        for shard, part in enumerate(parts):
            if shard in done:
                continue
            if not course.fits(course.stages[CRYSTALS].rate() * len(part) + KEPT_BACK):
                return
            crystals = machine.shard(drafts.take([chosen.row[i] for i in part]), [ids[i] for i in part])
            took = course.advance(CRYSTALS, len(part))
            by = {"version": made_by}  # with the crystals, as a later version may continue from here
            journal.append({"shard": shard, "seconds": took, "crystals": [crystal | by for crystal in crystals]})

    def _make(self, drafts: Drafts) -> list[AsymmetricUnit]:
        return self.generator.with_geometries(drafts, steps=self.plan.steps, proposals=self.plan.proposals)

    def ids(self, chosen: Chosen) -> list[str]:
        """Names of the crystals, the most promising first."""
        return labels_of(np.arange(len(chosen.row)), max(len(chosen.row) - 1, 0))

    def _finish(self, drafts: Drafts, chosen: Chosen, journal: Journal, course: Course) -> None:
        """Write the table and the files."""
        made = {c["id"]: c for line in journal.done if "shard" in line for c in line["crystals"]}
        ids = self.ids(chosen)
        formula = drafts.formula
        crystals = [
            made.get(name)
            or {"id": name, "draft": int(drafts.number[row]), "formula": formula[row],
                "space_group": int(drafts.space_group[row])}
            for name, row in zip(ids, chosen.row, strict=True)
        ]  # fmt: skip
        elements = _elements_in(drafts)
        hulls = Hulls(
            {judge: named.hull(elements) for judge, named in self.hulls.items()},
            {judge: named.name for judge, named in self.hulls.items()},
            self.own,
        )
        predicted = dict(zip(ids, chosen.predicted, strict=True))
        self.rows = ranked(crystals, predicted, hulls, self.known, self.plan.threshold, self.plan.filters)
        self._write(made, chosen)
        course.advance(FINISH, len(ids))

    def _write(self, made: Mapping[str, Mapping[str, Any]], chosen: Chosen) -> None:
        units: dict[str, AsymmetricUnit] = {}
        for row in self.rows:
            crystal = made.get(row["id"], {})
            unit = from_json(crystal.get("found")) or from_json(crystal.get("relaxed"))
            if unit is not None:
                units[row["id"]] = unit
        places, texts = files.write_relaxed(self.folder, units)
        identity = self.plan.identity()
        for row in self.rows:
            by = made.get(row["id"], {}).get("version", chosen.version)
            row |= {"file": places.get(row["id"], ""), "seed": self.plan.seed, "version": by}
            row |= {"weights": identity["checkpoint"], "command": self.plan.command()}
        files.write_table(self.folder / files.TABLE, self.rows, self.plan.potentials)
        self._inputs(units)
        self.summary = summary(self.plan, self.rows, self.hulls, self.known, chosen)
        files.write_json(self.folder / files.SUMMARY, self.summary)
        page.write(self.folder / files.PAGE, self.rows, texts, places, self.summary)

    def _inputs(self, units: Mapping[str, AsymmetricUnit]) -> None:
        """Write inputs of a DFT program for the candidates, including doubtful ones, if requested."""
        folder = self.folder / inputs.FOLDER
        if self.inputs is None:
            delete(folder)
            return
        worth = [row["id"] for row in self.rows if row["verdict"] in ("candidate", "doubtful")]
        inputs.write(self.inputs, folder, {name: units[name] for name in worth})


def _elements_in(drafts: Drafts) -> Sequence[str]:
    """Symbols in some drafts."""
    return sorted(elements_of("".join(drafts.formula)))
