"""YAML from outside as plain values: an error names the line, and what YAML would take in silence is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from symmcd.errors import InputError

LARGEST_FILE = 1_000_000  # bytes
MOST_VALUES = 100_000  # aliases counted as often as they are used, or a few lines could stand for billions
DEEPEST = 50  # levels of nesting


def read_yaml_file(path: Path) -> Any:
    """Values in a YAML file.

    Raises:
        InputError: the file cannot be read, is too large, or is no YAML (see `read_yaml`).
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror}); give an existing YAML file") from None
    if len(data) > LARGEST_FILE:
        raise InputError(f"{path}: larger than {LARGEST_FILE} bytes; it is not a config file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not valid YAML: not UTF-8 text; save the file as UTF-8") from None
    return read_yaml(text, str(path))


def read_yaml(text: str, where: str) -> Any:
    """Values of a YAML text.

    Args:
        text: one document.
        where: its file, for errors.

    Raises:
        InputError: with the line and its number, if the text is not YAML, a key is given twice (also as
            ``section.key`` and inside of ``section``), an anchor contains itself, or there are too many values.
    """
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            _Checked(loader, text, where).check(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if error.context_mark and mark.line >= len(text.splitlines()):  # what is open at the end began there
            mark = error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise refusal(where, text, mark.line if mark else 0, f"not valid YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position)
        raise refusal(where, text, line, f"not valid YAML: a character {chr(error.character)!r}") from None
    except ValueError as error:  # a date that is none, a number of thousands of digits
        raise InputError(f"{where}: not valid YAML: {error}") from None
    except RecursionError:
        raise InputError(f"{where}: not valid YAML: more than {DEEPEST} levels of nesting") from None


def refusal(where: str, text: str, line: int, reason: str) -> InputError:
    """An error about a line, counted from 0, with that line."""
    lines = text.splitlines()
    shown = lines[line].strip()[:80] if line < len(lines) else "end of the file"
    return InputError(f"{where}, line {line + 1}: {' '.join(reason.split())}: {shown}")


class _Checked:
    """A look at the nodes of a document before values are made of them."""

    def __init__(self, loader: Any, text: str, where: str) -> None:
        self.loader, self.text, self.where = loader, text, where
        self.size: dict[int, int] = {}  # size of each finished node, by its identity
        self.under_way: set[int] = set()

    def check(self, node: Any) -> None:
        """Raise InputError for a key given twice, an anchor inside itself, or too many values."""
        if node is None:
            return
        if self._values(node, 0) > MOST_VALUES:
            raise InputError(
                f"{self.where}: more than {MOST_VALUES} values with aliases expanded; it is not a config file"
            )
        self._keys_once(node)

    def _values(self, node: Any, depth: int) -> int:
        """Number of values in a node, aliases written out."""
        name, line = id(node), node.start_mark.line
        if name in self.size:
            return self.size[name]
        if name in self.under_way:
            raise refusal(self.where, self.text, line, "an anchor that stands inside itself")
        if depth > DEEPEST:
            raise refusal(self.where, self.text, line, f"more than {DEEPEST} levels of nesting")
        children = node.value if isinstance(node.value, list) else []
        children = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
        self.under_way.add(name)
        self.size[name] = 1 + sum(self._values(child, depth + 1) for child in children)
        self.under_way.discard(name)
        return self.size[name]

    def _keys_once(self, document: Any) -> None:
        """Raise InputError for a key that a mapping has twice, or a setting that ``section.key`` gives once more."""
        seen, waiting = set(), [document]
        while waiting:
            node = waiting.pop()
            if isinstance(node.value, str) or id(node) in seen:
                continue
            seen.add(id(node))
            self._once([((self._key(key),), key) for key, _ in pairs_of(node)])
            waiting += [part for child in node.value for part in (child if isinstance(child, tuple) else (child,))]
        settings = []
        for key, value in pairs_of(document):
            if isinstance(key.value, str) and "." in key.value:
                settings.append((tuple(key.value.split(".", 1)), key))
            elif isinstance(value.value, list):
                settings += [((key.value, inner.value), inner) for inner, _ in pairs_of(value)]
        self._once(settings)

    def _key(self, key: Any) -> Any:
        """Identity of a key, so that 1 and 0x1 are one; the key itself if it is a list or a mapping."""
        return self.loader.construct_object(key) if isinstance(key.value, str) and key.value != "<<" else key.value

    def _once(self, named: list[tuple[tuple[Any, ...], Any]]) -> None:
        first: dict[str, int] = {}
        for path, key in named:
            name = repr(path)
            if name in first:
                reason = f"{'.'.join(map(str, path))} is given twice, in line {first[name] + 1} too; leave one out"
                raise refusal(self.where, self.text, key.start_mark.line, reason)
            first[name] = key.start_mark.line


def pairs_of(node: Any) -> list[tuple[Any, Any]]:
    """Nodes of the keys and values of a mapping; nothing for another node."""
    return [child for child in node.value if isinstance(child, tuple)] if isinstance(node.value, list) else []
