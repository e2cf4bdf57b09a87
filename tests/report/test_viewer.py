"""The page of crystals to turn: the right atoms, nothing from outside, and a browser that draws it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from symmcd import replicate
from symmcd.report import run_section
from symmcd.report.load import load
from symmcd.report.viewer import LIBRARY
from tests.report.conftest import make_results


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    results = load(make_results(tmp_path_factory.mktemp("run") / "results"), 0)
    folder = results.folder / "report"
    drawn, turned = run_section.choose(results, 6, 15, seed=0)
    run_section.viewer(results, folder, turned, seed=0)
    return results, folder, drawn, turned


def test_the_drawn_crystals_come_first_and_the_seed_decides(run):
    results, _, drawn, turned = run
    assert turned[:6].tolist() == drawn.tolist()
    assert len(set(turned.tolist())) == 15
    assert run_section.choose(results, 6, 15, seed=0)[1].tolist() == turned.tolist()
    assert run_section.choose(results, 6, 15, seed=1)[1].tolist() != turned.tolist()
    assert set(turned.tolist()) <= set(run_section.valid_and_small(results).tolist())
    assert len(run_section.choose(results, 6, 10_000, seed=0)[1]) == len(run_section.valid_and_small(results))
    assert not len(run_section.choose(results, 6, 0, seed=0)[1])


def test_the_page_has_the_crystals_atom_by_atom(run):
    results, folder, _, turned = run
    html = (folder / "viewer.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])
    assert [entry["id"] for entry in data] == results.generated.label[turned].tolist()
    for entry, index in zip(data, turned.tolist(), strict=True):
        elements, *position = zip(*entry["atoms"], strict=True)
        shown = Structure(entry["lattice"], elements, np.transpose(position))
        assert len(shown) == results.generated[index].number_of_atoms
        assert StructureMatcher().fit(shown, replicate(results.generated[index]))
        assert np.allclose(shown.frac_coords, replicate(results.generated[index]).frac_coords, atol=1e-5)
        assert set(entry["elements"]) == set(elements)
        assert all(re.fullmatch("#[0-9a-f]{6}", drawn["colour"]) for drawn in entry["elements"].values())


def test_nothing_comes_from_outside(run):
    _, folder, _, _ = run
    html = (folder / "viewer.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="([^"]+)"', html) == ["data:,", "index.html"]
    ours = html.replace((files("symmcd.report") / "vendor/3dmol" / LIBRARY).read_text(encoding="utf-8"), "")
    assert len(html) - len(ours) > 500_000  # all of the library is in the page
    assert "://" not in ours
    assert html.count("</script>") == html.count("<script") == 3
    assert [path.name for path in folder.iterdir()] == ["viewer.html"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_draws_the_first_crystal(run):
    results, folder, drawn, _ = run
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader",
               "--enable-unsafe-swiftshader", "--virtual-time-budget=5000", "--dump-dom"]  # fmt: skip
    try:
        done = subprocess.run(
            [*command, (folder / "viewer.html").as_uri()], capture_output=True, text=True, timeout=60, check=True
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        pytest.skip(f"chromium does not run here: {error}")
    assert f'data-shown="{results.generated.label[drawn[0]]}"' in done.stdout
    assert "<canvas" in done.stdout
