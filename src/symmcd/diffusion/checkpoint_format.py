"""Metadata of a checkpoint: its format, the settings of its model, how it was made.  Without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.settings import ModelSettings, hints, of_other_kinds, read_section, section_of

FORMAT = "symmcd denoiser 2"
FIRST_FORMAT = "symmcd denoiser 1"  # one list of settings for all kinds of model, most of them named in every file

GONE = {"aggregation": ("sum", ("joint", "unit_cell")), "wyckoff_networks": (1, ("staged",))}
"""Settings that the first format had and no model has now: the only value that this version still computes, and the
kinds of model that they meant something to."""


def settings_of(path: Path, text: Mapping[str, str]) -> tuple[ModelSettings, dict[str, Any]]:
    """Settings of the model and all metadata of a checkpoint, from the texts in its file.

    Raises:
        InputError: not a checkpoint of ours, damaged, or one whose settings this version does not have.
    """
    if text.get("format") not in (FORMAT, FIRST_FORMAT):
        raise InputError(f"{path}: not a denoiser of symmcd (format {text.get('format')!r}, expected {FORMAT!r})")
    metadata = json_of(path, text, "symmcd")
    model = metadata.get("model")
    if not isinstance(model, Mapping):
        raise InputError(f"{path}: damaged, its settings of the model are {str(model)[:60]!r}; fetch or train it again")
    if isinstance(kind := model.get("kind", "joint"), str) and kind not in MODELS:
        raise InputError(
            f"{path}: weights of a {kind[:60]!r} model, which is unknown here; install "
            "the package that provides it, or a newer symmcd"
        )
    try:
        return read_section("model", _of_one_kind(model) if text["format"] == FIRST_FORMAT else model), metadata
    except InputError as error:
        raise InputError(
            f"{path}: weights of another version of symmcd (commit "
            f"{metadata.get('commit')}), which has other settings than this one: {str(error)[:300]}"
        ) from None


def _of_one_kind(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the first format without those of other kinds of model.

    Raises:
        InputError: no such kind, or a value that this version cannot compute with.
    """
    model: dict[str, Any] = {"kind": "joint"} | dict(values)  # the very first name no kind
    own = hints(section_of("model", model))
    for name, (value, kinds) in GONE.items():
        if name not in own and model.pop(name, value) != value and model["kind"] in kinds:
            raise InputError(f"model.{name} = {values[name]}: this version computes with {value} only")
    others = of_other_kinds(model)
    return {name: value for name, value in model.items() if name not in others}


def json_of(path: Path, text: Mapping[str, str], key: str) -> dict[str, Any]:
    """A mapping that stands as JSON in the metadata of a file.

    Raises:
        InputError: it is not there, or is damaged.
    """
    try:
        values = json.loads(text.get(key, ""))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: damaged, its metadata {key!r} is no JSON ({error}); fetch or train it again"
        ) from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: damaged, its metadata {key!r} is no mapping; fetch or train it again")
    return values
