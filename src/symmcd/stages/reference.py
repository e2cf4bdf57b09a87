"""Stage ``reference``: the energies that the convex hull is made of."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from symmcd.crystallography.asymmetric_unit import numbered_labels
from symmcd.errors import InputError
from symmcd.journal import Journal, Progress
from symmcd.settings import HullSettings, path_of
from symmcd.stability import reference
from symmcd.stability.hull import ReferenceEntry
from symmcd.storage import read_units
from symmcd.structures.fetch import fetch

# The Materials Project's relaxed structures and energies of 2023-02-07, as matbench-discovery publishes them.  Name and
# address are those of `DataFiles` in its 1.3.1 wheel; its repository's data-files.yml gives the MD5 of the same file.
MATBENCH_FILE = "2023-02-07-mp-computed-structure-entries.json.gz"
MATBENCH_MD5 = "76fc748db6b175bb80de4c276d27c235"
RETRIES = 5
WITHOUT_NETWORK = (
    f"Check hull.url. Without a network give hull.path the file {MATBENCH_FILE} (figshare file 40344436), or choose "
    "hull.source = chgnet, which needs none"
)


def run(units: list[Path], output: Path, settings: HullSettings, device: str) -> None:
    """Write the reference energies of `settings.source`.

    ``table``: formation energies of a csv, and the elemental energies that turn a CHGNet energy into one.
    ``matbench-discovery``: total energies of its computed entries, downloaded to the folder of `output` and verified
    where `settings.path` names no file.
    ``chgnet``: CHGNet's energy of each crystal of `units` as it is, and of each element; resumed after a kill.

    Raises:
        InputError: a path that the source needs is missing, or a file cannot be used or downloaded.
    """
    failed: list[dict[str, str]] = []
    journal = None
    if settings.source == "table":
        for name in ("path", "elemental_references"):
            if not getattr(settings, name):
                raise InputError(f"hull.{name} is empty; hull.source = table needs it (or choose hull.source = chgnet)")
        path = path_of(settings.path)
        hull = f"table {path.name}"
        entries = reference.elemental_reference_entries(path_of(settings.elemental_references))
        entries += reference.table_entries(path)
    elif settings.source == "matbench-discovery":
        path = path_of(settings.path) if settings.path else output.parent / MATBENCH_FILE
        if not settings.path:
            fetch(settings.url, path, MATBENCH_MD5, RETRIES, digest="MD5", advice=WITHOUT_NETWORK)
        hull, entries = settings.source, reference.computed_entries(path)
    else:
        journal = _chgnet_energies(units, output, settings.batch_size, device)
        hull, entries = "chgnet", list(reference.elemental_energies().values())
        for row in journal.done:
            if row["status"] == "ok":
                entries.append(ReferenceEntry(row["formula"], row["energy"], "energy", row["origin"], row["id"]))
            else:
                failed.append({key: row[key] for key in ("id", "formula", "origin", "status")})
    reference.write_entries(output, hull, entries, failed)
    if journal is not None:
        journal.remove()
    print(
        f"wrote {output} ({len(entries)} energies of the hull {hull!r}; {len(failed)} reference crystals without one)"
    )


def _chgnet_energies(paths: list[Path], output: Path, batch_size: int, device: str) -> Journal:
    """CHGNet energies of all crystals of the files, one row each, in their order."""
    from symmcd.device import choose_device, hold_gpu
    from symmcd.stability.energies import energies
    from symmcd.stability.potential import VERSION, load_chgnet

    files = [(path.stem, read_units(path)) for path in paths]
    for path, (_, of_file) in zip(paths, files, strict=True):
        if len(of_file) and of_file.label.tolist() == numbered_labels(len(of_file)):
            print(
                f"{path}: its crystals are numbered {of_file.label[0]} … {of_file.label[-1]}, as generated ones are: a "
                "hull of these says nothing about them",
                file=sys.stderr,
            )
    journal = Journal(output, {"units": [hashlib.sha256(p.read_bytes()).hexdigest() for p in paths], "model": VERSION})
    total, skip = sum(len(units) for _, units in files), len(journal.done)
    if skip == total:
        return journal
    hold_gpu(device)
    model = load_chgnet(choose_device(device).type)
    with Progress(total, skip, "reference crystals") as progress:
        for origin, units in files:
            for start in range(min(skip, len(units)), len(units), batch_size):
                part = units.take(range(start, min(start + batch_size, len(units))))
                crystals = [part[i] for i in range(len(part))]
                found = energies(crystals, model)
                rows = [
                    {
                        "id": str(label),
                        "formula": crystal.formula,
                        "origin": origin,
                        "status": energy.status,
                        "energy": energy.value,
                    }
                    for label, crystal, energy in zip(part.label, crystals, found, strict=True)
                ]
                journal.append(*rows)
                progress.advance(len(part))
            skip = max(0, skip - len(units))
    return journal
