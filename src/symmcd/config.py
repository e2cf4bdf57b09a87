"""A whole config file: sections and the keys above them, checked, described, and as a JSON schema.

A config file may name only what differs from the defaults in `symmcd.settings`.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import json
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from symmcd.bounds import Named, parted, schema_of, shown
from symmcd.errors import InputError
from symmcd.extensions import MODELS, MP20, check_hull
from symmcd.settings import (
    SECTIONS,
    ModelSettings,
    RunSettings,
    TrainingSettings,
    hints,
    of_other_kinds,
    read_section,
)
from symmcd.yaml_text import read_yaml, read_yaml_file

Config = dict[str, Any]  # "run" -> RunSettings, and each name of SECTIONS -> its settings

RUN_KEYS = tuple(field.name for field in dataclasses.fields(RunSettings))


def read_config(values: Mapping[str, Any]) -> Config:
    """Settings of every section, defaults filled in.  A key may be dotted, ``sampling.number: 100``.

    Raises:
        InputError: an unknown section or key (with the nearest known one), or a value that its section refuses.
    """
    run: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, value in nested(values).items():
        if key in RUN_KEYS:
            run[key] = value
        elif key not in sections:
            known = (*RUN_KEYS, *SECTIONS)
            near = difflib.get_close_matches(str(key), known, n=1)
            raise InputError(f"{key!r} is not a section" + (f"; did you mean {near[0]!r}?" if near else f" ({known=})"))
        else:
            sections[key] = {} if value is None else value  # YAML reads an empty section as None
    if isinstance(sections["model"], Mapping):  # a file for one kind, with another kind put over it
        others = of_other_kinds(sections["model"])
        sections["model"] = {name: value for name, value in sections["model"].items() if name not in others}
    config = {name: read_section(name, section) for name, section in sections.items()}
    return {"run": read_section("run", run)} | config


def check_together(config: Config) -> None:
    """Refuse settings of a whole run that do not go with those of another section.

    Not of a single stage: what it works on was made with settings of its own.

    Raises:
        InputError: naming both settings.
    """
    model, sampling, shards = config["model"], config["sampling"], config["shards"]
    if sampling.number < shards.sample:
        raise InputError(f"sampling.number = {sampling.number}: must be at least shards.sample = {shards.sample}")
    check_hull(config["relax"].potential, config["hull"].source)
    if config["relax"].potential in config["judge"].potentials:
        raise InputError(
            f"judge.potentials has {config['relax'].potential}, which relaxes the crystals and so judges them already; "
            "leave it out: judge={potentials: []}, or name others"
        )
    labels = config["stability_model"].labels
    if sampling.fits and labels < max(50, shards.sample):
        raise InputError(
            f"stability_model.labels = {labels}: must be at least 50, and at least shards.sample = {shards.sample}"
        )
    if config["training"].weights:
        return  # these come with a model of their own
    kind = MODELS[model.kind]
    if sampling.oversample > 1 and "composition" not in kind.can:
        raise InputError(
            f"sampling.oversample = {sampling.oversample}: must be 1 with model.kind = {model.kind}, "
            "which draws no positions and elements before a geometry"
        )
    if set(sampling.constraints) - {"space_group"} and "elements" not in kind.can:
        raise InputError(
            f"sampling.constraints: must be empty with model.kind = {model.kind}, which does not support constraints"
        )
    if sampling.fits and config["stability_model"].steps > kind.trained_steps(model):
        raise InputError(
            f"stability_model.steps = {config['stability_model'].steps}: must be at most model.steps = "
            f"{kind.trained_steps(model)}"
        )
    if sampling.steps > kind.trained_steps(model):
        raise InputError(
            f"sampling.steps = {sampling.steps}: must be at most model.steps = {kind.trained_steps(model)}"
        )
    if "temperature" not in kind.can and sampling.temperature != 1:
        raise InputError(f"sampling.temperature = {sampling.temperature:g}: must be 1 with model.kind = {model.kind}")
    if "proposals" not in kind.can and sampling.proposals > 1:
        raise InputError(f"sampling.proposals = {sampling.proposals}: must be at most 1 with model.kind = {model.kind}")


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with dotted keys put into their sections: ``{"a.b": 1}`` becomes ``{"a": {"b": 1}}``."""
    result = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for key in [key for key in result if isinstance(key, str) and "." in key]:
        name, _, setting = key.partition(".")
        section = result.get(name)
        if not isinstance(section, dict | None):
            raise InputError(f"{key}: {name} is a value, not a section")
        result[name] = (section or {}) | {setting: result.pop(key)}
    return result


def read_config_file(path: Path) -> dict[str, Any]:
    """The values in a YAML file, unchecked.

    Raises:
        InputError: the file cannot be read, is no YAML (with the line), or is not a mapping.
    """
    values = read_yaml_file(path)
    if not isinstance(values, Mapping):
        raise InputError(f"{path}: expected sections such as {', '.join(list(SECTIONS)[:4])}, got {shown(values)}")
    return dict(values)


def parse_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Values of ``section.key=value`` texts, each value read as YAML.

    Raises:
        InputError: another form, or no YAML.
    """
    parsed = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not (key and equals):
            raise InputError(f"{change!r}: write section.key=value, for example sampling.number=100")
        try:
            parsed[key] = read_yaml(value, change)
        except InputError as error:
            raise InputError(f"{shown(change)}: {shown(value)} is not a YAML value ({error})") from None
    return parsed


def as_json(settings: Any, only: Iterable[str] = ()) -> str:
    """One section, or the settings `only` of it, as the JSON that `read_section` reads."""
    values = dataclasses.asdict(settings)
    return json.dumps({name: values[name] for name in only or values}, sort_keys=True)


def as_values(config: Config) -> dict[str, Any]:
    """A checked config as the plain values of a config file, defaults filled in."""
    sections = {name: json.loads(as_json(settings)) for name, settings in config.items()}
    return {**sections.pop("run"), **sections}


def needs_gpu(model: ModelSettings, training: TrainingSettings) -> bool:
    """Return whether training on MP-20 at this size takes two CPU cores more than a day."""
    if training.weights or training.max_minutes:
        return False
    return MODELS[model.kind].cpu_days(model, training, MP20) > 1


# --- the same as text ------------------------------------------------------------------------------------------------


def comments(section: type) -> dict[str, str]:
    """The remark behind each field of a settings class and of those that it is made from, from their source."""
    remarks: dict[str, str] = {}
    for part in reversed(section.__mro__):
        if not dataclasses.is_dataclass(part):
            continue
        source = inspect.getsource(part)
        lines = source.splitlines()
        body = typing.cast("ast.ClassDef", ast.parse(source).body[0]).body
        fields = [node for node in body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)]
        for node in fields:
            name, remark = typing.cast("ast.Name", node.target).id, lines[node.lineno - 1].partition("  # ")[2]
            remarks[name] = remark or remarks.get(name, "")
    return remarks


def describe(config: Config, only: Iterable[str] = ()) -> str:
    """Settings as a YAML file with their meaning in comments; `only` names the sections to show."""
    unknown = [name for name in only if name not in config]
    if unknown:
        raise InputError(f"{unknown[0]!r} is not a section; known: {', '.join(config)}")
    blocks = []
    for name in only or config:
        values, remarks = dataclasses.asdict(config[name]), comments(type(config[name]))
        types = hints(type(config[name]))
        lines = [f"# {(inspect.getdoc(type(config[name])) or '').splitlines()[0]}"]
        indent = "" if name == "run" else "  "
        lines += [] if name == "run" else [f"{name}:"]
        for key, value in values.items():
            # JSON is YAML, but for 1e-05, which YAML 1.1 takes for a string
            text = json.dumps(value).replace("1e-", "1.0e-")
            remark = "; ".join(filter(None, (_choices(types[key]), remarks[key])))
            lines.append(f"{indent}{key}: {text}" + (f"  # {remark}" if remark else ""))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _choices(hint: Any) -> str:
    """``one of: a, b`` of a setting with a few choices, ``of: a, b`` of a list of such; else nothing."""
    kind, rules = parted(hint)
    for rule in rules:
        if isinstance(rule, Named):
            return f"one of: {', '.join((*rule.others, *rule.registry))}"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return f"one of: {', '.join(map(str, arguments))}"
    return _choices(arguments[0]).removeprefix("one ") if origin is tuple else ""


def schema() -> dict[str, Any]:
    """JSON schema of a config file, made from the settings classes."""
    properties = _properties(RunSettings)
    for name, section in SECTIONS.items():
        if name == "model":
            properties[name] = _model_schema()
            continue
        description = (inspect.getdoc(section) or "").splitlines()[0]
        properties[name] = {
            "type": "object",
            "description": description,
            "additionalProperties": False,
            "properties": _properties(section),
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "Made by `symmcd settings --schema` from src/symmcd/settings.py; edit there.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _model_schema() -> dict[str, Any]:
    """Schema of the section ``model``: what else there is beside `kind` depends on it.

    It does not describe the settings of kinds that installed packages add.
    """
    kinds = []
    for name in MODELS.shipped:
        properties = _properties(MODELS[name].settings) | {"kind": {}}
        known = {"additionalProperties": False, "properties": properties}
        condition: dict[str, Any] = {"properties": {"kind": {"const": name}}}
        if name != ModelSettings.kind:  # the kind where none is named
            condition["required"] = ["kind"]
        kinds.append({"if": condition, "then": known})
    properties = {"kind": schema_of(hints(ModelSettings)["kind"]) | {"default": ModelSettings.kind}}
    return {
        "type": "object",
        "description": (inspect.getdoc(ModelSettings) or "").splitlines()[0],
        "properties": properties,
        "allOf": kinds,
    }


def _properties(section: type) -> dict[str, Any]:
    remarks, defaults = comments(section), dataclasses.asdict(section())
    return {
        name: schema_of(hint)
        | ({"description": remarks[name]} if remarks[name] else {})
        | {"default": json.loads(json.dumps(defaults[name]))}  # lists in place of tuples
        for name, hint in hints(section).items()
    }
