"""Stage ``download``: raw crystals of a source (`symmcd.extensions.SOURCES`) or of yours → one table per split."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from symmcd.command import Parser
from symmcd.errors import InputError
from symmcd.extensions import SOURCES
from symmcd.settings import DataSettings, other_source, path_of

if TYPE_CHECKING:
    from symmcd.structures.sources import Raw

EXAMPLE = "--output results/raw --set data.source=prototypes"


def arguments(parser: Parser) -> None:
    """Declare the arguments of the command line."""
    text = "folder for train.csv.gz, val.csv.gz, test.csv.gz and source.json"
    parser.add_output(text, metavar="DIR")
    parser.add_settings("data")


def run(output: Path, settings: DataSettings) -> None:
    """Write train, val and test tables (``csv.gz``, byte-reproducible) and source.json.

    Raises:
        InputError: the source is not there, damaged, empty, changed while it was read, or cannot be downloaded and
            verified; `output` has crystals of another source.
    """
    from symmcd.storage import atomic_path
    from symmcd.structures.read import write_rows
    from symmcd.structures.sources import SPLITS, covered, limited, sha256

    _refuse_other_source(output / "source.json", settings.source)
    before = _state(settings.source)
    raw = _read(output, settings)
    files = {}
    whole = raw.divided(settings.split, settings.split_seed)
    splits = {
        split: limited(whole[split], settings.limit, [settings.split_seed, number])
        for number, split in enumerate(SPLITS)
    }
    if _state(settings.source) != before:
        raise InputError(f"{settings.source}: changed while it was read; run this again when the file is complete")
    for split, rows in splits.items():
        if not rows:
            raise InputError(f"data.source = {settings.source}: no crystals for {split}")
        path = output / f"{split}.csv.gz"
        write_rows(path, rows)
        files[path.name] = {"rows": len(rows), "rows_of_source": len(whole[split]), "sha256": sha256(path)}
        print(f"wrote {path} ({len(rows)} crystals)")
    about = {
        "source": settings.source,
        **_origin(settings.source),
        "inputs": {path.name: sha256(path) for path in raw.inputs},
        "files": files,
        "left_out": dict(raw.left_out),
    }
    with atomic_path(output / "source.json") as temporary:
        temporary.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    if not covered(splits["train"], splits["val"]):
        print(
            f"data.source = {settings.source}: most crystals of val have elements that none of train has; "
            "`symmcd train` leaves them out of the validation loss, and stops where that leaves none.  Give train a "
            f"larger share (data.split = {list(settings.split)}, data.split_seed = {settings.split_seed}), more "
            "crystals, or train.csv, val.csv and test.csv of your own",
            file=sys.stderr,
        )
    if raw.left_out:
        print(f"left out {len(raw.left_out)} crystals of {settings.source}, each with its reason in source.json")
    print(f"wrote {output / 'source.json'}")


def _read(output: Path, settings: DataSettings) -> Raw:
    """All crystals of the source."""
    from symmcd.structures.data_files import Downloads
    from symmcd.structures.sources import Raw, own_files

    if settings.source in SOURCES:
        downloads = Downloads(output / "original", settings.retries, settings.url)
        raw = SOURCES[settings.source].read(downloads)
        if not isinstance(raw, Raw):
            raise InputError(f"data.source = {settings.source}: its reader gave {type(raw).__name__}, expected a Raw")
        return raw
    return own_files(path_of(settings.source))


def _origin(source: str) -> dict[str, str]:
    """Description of a named source by itself."""
    if source not in SOURCES:
        return {}
    entry = SOURCES[source]
    return {"data": entry.sentence, "licence": entry.licence, "published": entry.published}


def _state(source: str) -> object:
    """Fingerprint that tells whether a source of yours has changed."""
    from symmcd.structures.sources import state_of

    return None if source in SOURCES else state_of(path_of(source))


def _refuse_other_source(path: Path, source: str) -> None:
    """Stop before crystals of one source take the place of another's.

    Raises:
        InputError: source.json names another one.
    """
    if other := other_source(path, source):
        raise InputError(
            f"{path.parent}: has crystals of data.source = {other}, and this is {source}; choose another folder "
            f"(results = … in the configuration), or delete {path} to replace them and what follows from them"
        )
