"""Registries: what ships, what a process adds, what installed packages offer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from symmcd.bounds import Named, checked, schema_of
from symmcd.errors import InputError
from symmcd.registry import Registry


@dataclass(frozen=True)
class Colour:
    wavelength: int  # nm


RED = Colour(700)


def colours() -> Registry[Colour]:
    return Registry("colour", "symmcd.test_colours", Colour, {"red": f"{__name__}:RED"})


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Installs a package of one module that offers entry points, for this test."""
    names = []

    def installed(name: str, source: str, entries: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        about = tmp_path / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[symmcd.test_colours]\n{entries}\n")
        names.append(name)

    monkeypatch.syspath_prepend(str(tmp_path))
    yield installed
    for name in names:
        sys.modules.pop(name, None)


def test_a_shipped_entry_is_imported_when_it_is_asked_for() -> None:
    broken = Registry("colour", "symmcd.test_colours", Colour, {"red": f"{__name__}:RED", "none": "no_such_module:X"})
    assert list(broken) == ["red", "none"]
    assert "none" in broken
    assert broken["red"] is RED
    with pytest.raises(ModuleNotFoundError):
        broken["none"]


def test_the_nearest_name_is_named() -> None:
    with pytest.raises(InputError, match="no colour named 'rad'; did you mean 'red'"):
        colours()["rad"]
    with pytest.raises(InputError, match="known: red"):
        colours()["ultraviolet"]


def test_a_process_adds_and_removes() -> None:
    registry = colours()
    registry.add("blue", Colour(450))
    assert registry["blue"].wavelength == 450
    assert len(registry) == 2
    with pytest.raises(InputError, match="already"):
        registry.add("blue", Colour(1))
    with pytest.raises(TypeError, match="expected a Colour"):
        registry.add("green", "green")  # type: ignore[arg-type]
    registry.remove("blue")
    assert list(registry) == ["red"]


def test_an_installed_package_offers_an_entry(install) -> None:
    install("symmcd_blue", f"from {__name__} import Colour\nBLUE = Colour(450)\n", "blue = symmcd_blue:BLUE")
    registry = colours()
    assert list(registry) == ["red", "blue"]
    assert registry.shipped == ("red",)
    assert registry["blue"].wavelength == 450


def test_a_broken_package_is_named_only_when_it_is_asked_for(install) -> None:
    install("symmcd_broken", "import no_such_module\n", "broken = symmcd_broken:BROKEN")
    registry = colours()
    assert registry["red"] is RED
    with pytest.raises(InputError, match=r"of the package symmcd_broken cannot be loaded .*no_such_module"):
        registry["broken"]


def test_a_package_that_exits_or_offers_another_thing_is_named(install) -> None:
    install("symmcd_quitting", "raise SystemExit('good bye')\n", "quitting = symmcd_quitting:X")
    install("symmcd_texts", "X = 'green'\n", "green = symmcd_texts:X")
    registry = colours()
    with pytest.raises(InputError, match=r"of the package symmcd_quitting cannot be loaded .*good bye.*uninstall"):
        registry["quitting"]
    with pytest.raises(InputError, match=r"of the package symmcd_texts: expected a Colour, got 'green'.*uninstall"):
        registry["green"]


def test_a_package_cannot_take_the_place_of_what_ships(install, capsys: pytest.CaptureFixture[str]) -> None:
    install("symmcd_other_red", f"from {__name__} import Colour\nRED = Colour(1)\n", "red = symmcd_other_red:RED")
    registry = colours()
    assert registry["red"] is RED
    assert list(registry) == ["red"]
    assert registry["red"] is RED
    assert "symmcd_other_red offers a colour named 'red'" in capsys.readouterr().err
    assert "blue" not in registry
    assert not capsys.readouterr().err


def test_a_name_of_two_packages_is_refused_where_it_is_asked_for(install) -> None:
    blue = f"from {__name__} import Colour\nBLUE = Colour(450)\n"
    install("symmcd_blue", blue, "blue = symmcd_blue:BLUE")
    install("symmcd_sky", blue, "blue = symmcd_sky:BLUE\nsky = symmcd_sky:BLUE")
    registry = colours()
    assert list(registry) == ["red", "blue", "sky"]
    assert registry["sky"].wavelength == 450
    with pytest.raises(InputError, match="symmcd_blue and symmcd_sky both offer a colour named 'blue'"):
        registry["blue"]


def test_a_setting_may_be_a_name_of_a_registry() -> None:
    hint = Named(colours())
    from typing import Annotated

    assert checked("paint.colour", "red", Annotated[str, hint]) == "red"
    with pytest.raises(InputError, match=r"paint.colour = 'rad': choose one of 'red'"):
        checked("paint.colour", "rad", Annotated[str, hint])
    assert schema_of(Annotated[str, hint]) == {"type": "string", "examples": ["red"]}
