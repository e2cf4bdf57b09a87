"""The notebook of docs/ runs from its first cell to its last, and shows what it keeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import symmcd
from tests.documentation.examples import ROOT

NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
pytest.importorskip("nbclient", reason="notebooks are run where the extra `docs` is installed (make docs)")
pytest.importorskip("ipykernel", reason="notebooks are run where the extra `docs` is installed (make docs)")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_keeps(path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(symmcd.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    )
    shown = nbformat.read(path, as_version=4)
    done = nbformat.read(path, as_version=4)
    NotebookClient(done, timeout=600, kernel_name="python3").execute()
    for before, after in zip(shown.cells, done.cells, strict=True):
        assert kinds(before) == kinds(after), before.source


def kinds(cell) -> list[str]:
    """What a cell shows, but for the values: these differ by the rounding of processors, and with each new sampler."""
    found = []
    for output in cell.get("outputs", []):
        if output.output_type != "stream":
            found += sorted(output.data)
        elif output.name == "stdout":
            found += [f"line {row}" for row in range(len(output.text.splitlines()))]
    return found


def test_notebooks_keep_their_outputs_and_no_messages():
    import nbformat

    assert NOTEBOOKS
    for path in NOTEBOOKS:
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert sum(bool(cell.outputs) for cell in cells) >= len(cells) // 2
        streams = [output for cell in cells for output in cell.outputs if output.output_type == "stream"]
        assert all(output.name == "stdout" for output in streams)
