"""Bounds of settings: every number has one, NaN and infinity pass none, and the JSON schema says the same."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from symmcd import config
from symmcd.bounds import LARGEST, Bound, Keys, parted, shown
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.settings import SECTIONS, ReduceSettings, RunSettings, hints, read_section

ALL = {"run": RunSettings, **SECTIONS, "model": MODELS["staged"].settings}
VALIDATOR = jsonschema.Draft202012Validator(config.schema())


def numbers_in(hint: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], type, Bound | None]]:
    """Where a type has numbers, of which kind, with which bound."""
    kind, rules = parted(hint)
    if kind in (int, float):
        return [(path, kind, next((rule for rule in rules if isinstance(rule, Bound)), None))]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return numbers_in(arguments[0], (*path, 0))
    names = next((rule.names for rule in rules if isinstance(rule, Keys)), ())
    if names:
        return [found for key in names for found in numbers_in(arguments[1], (*path, key))]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        assert not numbers_in(arguments[1]), "a mapping of numbers says which keys it has"
    return []


NUMBERS = [
    (section, key, path, kind, bound)
    for section, cls in ALL.items()
    for key, hint in hints(cls).items()
    for path, kind, bound in numbers_in(hint)
]


def with_number(section: str, key: str, path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Values of a section that differ from the defaults in one number."""
    if not path:
        return {key: value}
    outer = getattr(ALL[section](), key)
    if isinstance(outer, tuple):
        return {key: [value, *outer[1:]]}
    return {key: {**outer, path[0]: value}}


def beyond(kind: type, bound: Bound) -> list[float]:
    """Numbers just outside of a bound, and far outside."""
    step = 1 if kind is int else 1e-9
    below = [bound.above, bound.above - step, -(10**6)] if bound.above is not None else []
    below += [bound.least - max(step, abs(bound.least) * 1e-9), -(10**6)] if bound.least is not None else []
    above = [bound.below, bound.below + step, 10**400] if bound.below is not None else []
    above += [bound.most + max(step, abs(bound.most) * 1e-9), 10**400] if bound.below is None else []
    return [*below, *above]


def test_there_are_numbers_in_all_sections_that_have_some():
    assert len(NUMBERS) > 70
    assert {section for section, *_ in NUMBERS} == set(ALL) - {"hull", "judge"}


@pytest.mark.parametrize("name", MODELS.shipped)
def test_numbers_of_every_kind_of_model_have_bounds(name):
    for key, hint in hints(MODELS[name].settings).items():
        for _, _, bound in numbers_in(hint):
            assert bound is not None, key


@pytest.mark.parametrize(("section", "key", "path", "kind", "bound"), NUMBERS, ids=str)
def test_every_number_has_a_bound_that_holds(section, key, path, kind, bound):
    assert bound is not None, f"{section}.{key} has no bound: give its type one, as in symmcd.settings"
    assert bound.least is not None or bound.above is not None
    outside = [math.nan, math.inf, -math.inf, *beyond(kind, bound)]
    dotted = key if section == "run" else f"{section}.{key}"
    for value in outside:
        values = with_number(section, key, path, value)
        for made in (read_section, lambda name, given: ALL[name](**given)):
            with pytest.raises(InputError) as error:
                made(section, values)
            assert str(error.value).startswith(dotted)
            if isinstance(value, float) or abs(value) < 10**300:
                assert str(bound) in str(error.value) or "expected int" in str(error.value)
                assert (
                    shown(kind(value)) in str(error.value) if math.isfinite(value) else repr(value) in str(error.value)
                )
            assert len(str(error.value)) < 300
    for value in (True, "x", None, [], {}):
        with pytest.raises(InputError, match=re.escape(dotted)):
            read_section(section, with_number(section, key, path, value))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
@pytest.mark.parametrize(
    ("section", "key"), [("reduce", "symprec"), ("training", "learning_rate"), ("training", "ema_decay")]
)
def test_json_numbers_that_are_none(section, key, text):
    with pytest.raises(InputError, match=rf"{section}\.{key} = "):
        read_section(section, f'{{"{key}": {text}}}')


@pytest.mark.parametrize("text", [".nan", ".inf", "-.inf", "1.0e+400", "nan", "inf", "0", "-0.1", "-1", "true", "1.5"])
def test_yaml_numbers_that_are_none(text):
    with pytest.raises(InputError, match=r"reduce\.symprec = "):
        config.read_config(yaml.safe_load(f"reduce: {{symprec: {text}}}"))


@pytest.mark.parametrize(("given", "read"), [(7.0, 7), ("7", 7), ("7.0", 7), ("1e3", 1000), (1e3, 1000)])
def test_a_whole_number_may_be_written_with_a_point(given, read):
    number = read_section("sampling", {"number": given}).number
    assert (number, type(number)) == (read, int)


@pytest.mark.parametrize(
    "given", [7.5, "7.5", "1e400", "9" * 5000, 10**5000, "seven", "[" * 100_000, "0x10", "1_000"], ids=range(9)
)
def test_no_whole_numbers(given):
    with pytest.raises(InputError, match=r"^sampling\.number = .{1,200}$"):
        read_section("sampling", {"number": given})


def test_settings_made_in_python_are_checked_too():
    with pytest.raises(InputError, match=r"reduce\.symprec = 0\.0: above 0, at most 1"):
        ReduceSettings(symprec=0)
    with pytest.raises(InputError, match=r"reduce\.max_rejected_share = -1\.0: at least 0, at most 1"):
        dataclasses.replace(ReduceSettings(), max_rejected_share=-1)
    assert ReduceSettings(max_orbits=3.0).max_orbits == 3


@st.composite
def a_setting(draw):
    """A section, a key of it, and a value that may or may not do."""
    section, key, path, _, bound = draw(st.sampled_from(NUMBERS))
    limits = [limit for limit in (bound.least, bound.most, bound.above, bound.below) if limit is not None]
    near = st.sampled_from(limits).map(float) if limits else st.nothing()
    value = draw(
        st.integers(-3, 300) | st.floats(allow_nan=False) | near | near.map(lambda v: v + 1) | st.booleans() | st.text()
    )
    return section, with_number(section, key, path, value)


def is_read(section: str, values: dict[str, Any]) -> bool:
    try:
        ALL[section](**values)
    except InputError as error:
        # what two settings must be together, and which symbols there are, a JSON schema cannot say
        assume(
            not re.search(
                "add up|multiple of|even number|must lie between|needs relax|each once|first round", str(error)
            )
        )
        assume(not re.search(r"space group .*: expected a number from 1", str(error), re.DOTALL))
        return False
    return True


@settings(deadline=None)
@given(a_setting())
def test_schema_and_settings_agree(setting):
    section, values = setting
    whole = values if section == "run" else {section: values}
    assert VALIDATOR.is_valid(whole) == is_read(section, values)


@settings(deadline=None)
@given(st.from_regex(r"\A[\w./+=,@:{} -]{0,12}\n?\Z") | st.sampled_from(["src", "./src/x", "..", "../..", "s3://a"]))
def test_what_the_schema_says_of_results(results):
    """The schema sees the name only; the settings also refuse what it leads to."""
    if is_read("run", {"results": results}):
        VALIDATOR.validate({"results": results})


def test_schema_has_the_words_for_it():
    properties = config.schema()["properties"]
    of_reduce = properties["reduce"]["properties"]
    assert of_reduce["symprec"].items() >= {"exclusiveMinimum": 0, "maximum": 1, "default": 0.1}.items()
    assert of_reduce["max_orbits"].items() >= {"type": "integer", "minimum": 1, "default": 20}.items()
    assert properties["training"]["properties"]["ema_decay"].items() >= {"minimum": 0, "exclusiveMaximum": 1}.items()
    assert properties["training"]["properties"]["learning_rate"]["maximum"] == LARGEST
    assert properties["model"]["properties"]["kind"]["examples"] == ["staged", "joint", "unit_cell", "pyxtal"]
    kinds = [entry["then"]["properties"] for entry in properties["model"]["allOf"]]
    assert kinds[1]["frequencies"].items() >= {"type": "integer", "minimum": 1, "default": 128}.items()
    assert set(properties["training"]["properties"]["loss_weights"]["required"]) == {
        "lattice", "position", "element", "site_symmetry",
    }  # fmt: skip
    assert "pattern" in properties["results"]
    for name, section in ALL.items():
        described = properties if name == "run" else properties[name]["properties"]
        described = kinds[0] | described if name == "model" else described
        for key in hints(section):
            assert "default" in described[key], f"{name}.{key}"


@pytest.mark.parametrize(
    "results",
    [".", "..", "./", "../", "../..", "a/..", "a/../..", "/", "src", "src/", "src/symmcd", "./src/out", "workflow"]
    + ["config/x", "s3://bucket/x", "http://x", "https://x.org/y", "file:/x", "gs://b", "a//../..", "x/../src"],
)
def test_folders_that_results_may_not_be(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if results == "x/../src":
        (tmp_path / "x").mkdir()
        monkeypatch.chdir(Path(config.__file__).parents[2])  # the checkout
    why = "an address|.*the folder (in )?(that|which)|.*a folder that|.*symmcd's own"
    with pytest.raises(InputError, match=rf"^results = '.*': ({why})"):
        read_section("run", {"results": results})


def test_results_may_not_lie_among_our_own_files_by_another_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(Path(config.__file__).parent)
    for results in ("link", "link/deeper", str(Path(config.__file__).parent / "x"), str(Path(config.__file__).parent)):
        with pytest.raises(InputError, match="has symmcd's own files"):
            read_section("run", {"results": results})
    assert read_section("run", {"results": "results..old"}).results == "results..old"
    assert read_section("run", {"results": "../sources"}).results == "../sources"
