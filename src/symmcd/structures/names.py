"""Names of crystals: made unique, and as file names, data blocks of CIFs and values in extended xyz.

An id comes from a user's table and may hold anything; a file name or a value in a file may not.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

LONGEST = 100
"""Characters of a file name's stem that come from an id; file systems take 255 bytes, and formula and group follow."""

_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{name}{i}" for name in ("COM", "LPT") for i in range(10))}  # on Windows

_OF_SYSTEMS = {
    "__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd", ".temporaryitems", "icon\r",
    "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",
}  # fmt: skip


def is_companion(path: PurePath | str) -> bool:
    """Return whether macOS or Windows put this path into a folder or an archive beside the user's files.

    macOS keeps the attributes of ``x.cif`` in ``._x.cif``, in archives under ``__MACOSX``.
    """
    parts = re.split(r"[/\\]", path) if isinstance(path, str) else path.parts
    return any(part.startswith("._") or part.lower() in _OF_SYSTEMS for part in parts)


def unique(names: Sequence[str], mark: str = "#") -> list[str]:
    """`names` in their order, each once: the first of several equal ones keeps its name, the second gets ``#2``, …

    A name that is in the list as it stands is never given to another.
    """
    taken, number, once = set(names), Counter[str](), []
    for name in names:
        number[name] += 1
        new = name
        if number[name] > 1:
            while (new := f"{name}{mark}{number[name]}") in taken:
                number[name] += 1
            taken.add(new)
        once.append(new)
    return once


def file_stem(name: str) -> str:
    """`name` as the beginning of a file name or the name of a data block: letters, digits, ``._-``; all else is ``_``.

    Names that hide a file, that Windows reserves, and empty ones begin with ``_``; long ones are cut and end in a hash
    of the whole.  Different names may have one stem; see `file_stems`.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    if stem[:1] in ("", ".", "-") or stem.partition(".")[0].upper() in _RESERVED:
        stem = f"_{stem}"
    if len(stem) > LONGEST:
        stem = f"{stem[: LONGEST - 9]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    return stem


def file_stems(names: Sequence[str]) -> list[str]:
    """`file_stem` of each name, no two the same, not even where capitals do not count (macOS, Windows).

    Names that need no change keep theirs; of others that fall together the later ones get ``-2``, ``-3``, …
    """
    stems = [file_stem(name) for name in names]
    taken: set[str] = set()
    stem_of: dict[int, str] = {}
    number = Counter[str]()
    for i in sorted(range(len(names)), key=lambda i: stems[i] != names[i]):  # stable: unchanged ones first
        new = stems[i]
        while new.lower() in taken:
            number[stems[i].lower()] += 1
            new = f"{stems[i]}-{number[stems[i].lower()] + 1}"
        taken.add(new.lower())
        stem_of[i] = new
    return [stem_of[i] for i in range(len(names))]


def extxyz_ids(names: Sequence[str]) -> list[str]:
    """`names` as a line of extended xyz can hold them, each once: line ends and other unprintable characters are ``_``.

    An empty one is ``_``, and so is an equals sign at the end, where ASE's writer puts no quotes.  Other quotes and
    blanks stay: `extxyz_value` marks them.
    """
    return unique([_printable(name) for name in names])


def _printable(name: str) -> str:
    kept = "".join(c if c.isprintable() else "_" for c in name) or "_"
    bare = kept.rstrip("=")
    kept = bare + "_" * (len(kept) - len(bare))
    return f"_{kept[5:]}" if kept.startswith("_JSON ") else kept  # ASE takes the rest of such a text for JSON


def extxyz_value(text: str) -> str:
    """`text` in quotes for the second line of a frame, as ASE and we read it back."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ase_info(text: str) -> str:
    """`text` as a value of ``Atoms.info`` that ASE's writer is to write: it marks quotes itself, but no backslashes."""
    return text.replace("\\", "\\\\")


def tell_of_changes(names: Sequence[str], written: Sequence[str], where: str) -> None:
    """Say once how many ids are not written as they are, with an example, so that they can be found."""
    changed = [(name, new) for name, new in zip(names, written, strict=True) if name != new]
    if changed:
        name, new = changed[0]
        shown = f"{name[:60]!r}"
        print(f"{where}: {len(changed)} of {len(names)} ids cannot be used unchanged, such as {shown}: now {new}")
