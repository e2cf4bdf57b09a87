"""What mkdocs needs to know of this repository: pages outside of docs/, links between them, formulas, notebooks.

On a code host a page links to any file by its place in the repository.  The site has docs/ at its root and some pages
from elsewhere (`PAGES`) at the place that they have in the repository; a link to another file becomes its name.  A link
to a file that does not exist ends the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md", "bench/*.md", "bench/study/*.md")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
DEFINITION = re.compile(r"^(\[[^\]]+\]: )(\S+)$", re.MULTILINE)


class BrokenLinkError(Exception):
    """A page links to a file that is not there."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside of docs/, and each notebook as a page."""
    from mkdocs.structure.files import File

    for place in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        name = str(place.relative_to(ROOT))
        uri = "overview.md" if name == "README.md" else name
        files.append(File.generated(config, uri, content=place.read_text(encoding="utf-8")))
    for place in sorted((ROOT / DOCS).rglob("*.ipynb")):
        uri = str(place.relative_to(ROOT / DOCS).with_suffix(".md"))
        files.append(File.generated(config, uri, content=notebook_page(place)))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """Links of a page by the places of the site.

    Raises:
        BrokenLinkError: to a file that does not exist.
    """
    uri = page.file.src_uri
    here = _place_of(uri)
    markdown = DEFINITION.sub(lambda m: m[1] + (_target(m[2], here, uri, files) or m[2]), markdown)
    return LINK.sub(lambda m: _link(m, here, uri, files), markdown)


def math_fence(source: str, *_: Any, **__: Any) -> str:
    """A fenced block ``math`` as MathML, which browsers set themselves: no script, no fonts from elsewhere."""
    from latex2mathml.converter import convert

    return convert(source, display="block")


def notebook_page(path: Path) -> str:
    """A notebook as Markdown: text as it is, code in fences, printed output and pictures below."""
    import nbformat

    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code":
            parts.append(f"```python\n{cell.source}\n```")
            parts += [text for output in cell.outputs if (text := _output(output))]
    return "\n\n".join(parts) + "\n"


def _output(output: Any) -> str:
    if output.output_type == "stream":
        return "" if output.name == "stderr" else f"```text\n{output.text.rstrip()}\n```"
    data = output.get("data", {})
    if "image/png" in data:
        return f"![output](data:image/png;base64,{data['image/png'].strip()})"
    if "text/html" in data:
        table = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
        return table.replace(' border="1" class="dataframe"', "").strip()
    return f"```text\n{data['text/plain'].rstrip()}\n```" if "text/plain" in data else ""


def _place_of(uri: str) -> str:
    """Path in the repository of a page of the site."""
    if uri == "overview.md":
        return "README.md"
    if any(Path(uri).match(pattern) for pattern in PAGES) and (ROOT / uri).exists():
        return uri
    return DOCS + uri


def _link(found: re.Match[str], here: str, uri: str, files: Any) -> str:
    picture, text, target = found.groups()
    if re.match(r"[a-z]+:|#", target):
        return found[0]
    place = _target(target, here, uri, files)
    return text if place is None else f"{picture}[{text}]({place})"


def _target(target: str, here: str, uri: str, files: Any) -> str | None:
    """A link by the places of the site; None where the file is no part of it."""
    if re.match(r"[a-z]+:|#", target):
        return target
    path, hash_, anchor = target.partition("#")
    place = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    if not (ROOT / place).exists():
        raise BrokenLinkError(f"{here}: links to {target}, and there is no {place}")
    new = "overview.md" if place == "README.md" else place.removeprefix(DOCS)
    new = re.sub(r"\.ipynb$", ".md", new)
    if files.get_file_from_path(new) is None:
        return None
    return posixpath.relpath(new, posixpath.dirname(uri) or ".") + hash_ + anchor
