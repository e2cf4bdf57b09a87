"""Settings: what is refused and with which words; files and schema that are made from the classes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from symmcd import config
from symmcd.diffusion.staged.kind import StagedSettings
from symmcd.errors import InputError
from symmcd.extensions import MODELS
from symmcd.settings import SECTIONS, Kind, ModelSettings, TrainingSettings, read_section, section_of

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("name", ["run", *SECTIONS])
def test_defaults_survive_json(name):
    section = section_of(name, {})
    assert read_section(name, config.as_json(section())) == section()


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("training", {"epoch": 3}, "training.epoch is not a setting; did you mean 'epochs'?"),
        ("training", {"epochs": 3.5}, "training.epochs = 3.5: expected int, got float"),
        ("training", {"epochs": True}, "training.epochs = True: expected int, got bool"),
        ("training", {"learning_rate": "fast"}, "training.learning_rate = 'fast': expected float, got str"),
        ("training", {"loss_weights": {"lattice": "x"}}, "training.loss_weights.lattice = 'x'"),
        ("data", {"split": [0.5, 0.5]}, "data.split = .*: expected 3 values"),
        ("hull", {"source": "mp"}, "hull.source = 'mp': choose one of 'table', 'matbench-discovery', 'chgnet'"),
        ("run", {"device": "gpu"}, "device = 'gpu': choose one of 'auto', 'cuda', 'cpu'"),
        ("shards", {"relax": 0}, "shards.relax = 0: at least 1"),
        ("relax", {"number": 0}, "relax.number = 0: at least 1"),
        ("relax", {"steps": 0}, "relax.steps = 0: at least 1"),
        ("relax", {"max_atoms": 0}, "relax.max_atoms = 0: at least 1"),
        ("relax", {"fmax": 0}, "relax.fmax = 0.0: above 0"),
        ("relax", {"fmax": float("nan")}, "relax.fmax = nan: above 0"),
        ("relax", {"seconds": -1}, "relax.seconds = -1.0: above 0"),
        ("hull", {"batch_size": 16}, "hull.batch_size was removed: .*; leave it out"),
        ("model", {"wyckoff_networks": 2}, "model.wyckoff_networks was removed: there is one network"),
        ("model", {"aggregation": "sum"}, "model.aggregation was removed: .*summed"),
        ("training", {"keep": "best"}, "training.keep was removed: .*lowest validation loss"),
        (
            "relax",
            {"method": "fire"},
            "relax.method = 'fire': choose one of 'unconstrained', 'symmetry', 'structure_opt",
        ),
        ("relax", {"potential": "chgnet2"}, "relax.potential = 'chgnet2': choose one of 'chgnet'"),
        ("sun", {"thresholds": []}, "sun.thresholds = []: at least one number, each once"),
        ("sun", {"thresholds": [0.1, 0, 0.1000000001]}, "sun.thresholds = .*: at least one number, each once"),
        ("run", {"results": "my results"}, "results = 'my results': letters, digits and"),
        ("run", {"results": "it's"}, 'results = "it\'s": letters, digits and'),
        ("run", {"results": "a;b"}, "results = 'a;b': letters, digits and"),
        ("run", {"results": "{seed}"}, "results = '{seed}': letters, digits and"),
        ("run", {"results": "-v"}, "results = '-v': letters, digits and"),
        ("run", {"results": ""}, "results = '': letters, digits and"),
        ("run", {"seed": -1}, "seed = -1: at least 0"),
        ("sampling", {"space_groups": [225, 231]}, "sampling.space_groups[1] = 231: space groups are 1 to 230"),
        ("score", {"distribution_sample": -5}, "score.distribution_sample = -5: at least 0"),
        ("score", {"fingerprint_seconds": 0}, "score.fingerprint_seconds = 0.0: above 0"),
        ("score", {"symprec": -0.1}, "score.symprec = -0.1: above 0"),
        ("report", {"viewer_crystals": -1}, "report.viewer_crystals = -1: at least 0"),
        ("sun", "{", "sun: settings are not valid JSON"),
        ("sun", "[1]", "sun: expected a mapping"),
    ],
)
def test_what_a_section_refuses(section, values, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[").replace("?", r"\?")):
        read_section(section, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainig": {}}, "'trainig' is not a section; did you mean 'training'?"),
        ({"sampling.numbr": 3}, "sampling.numbr is not a setting; did you mean 'number'?"),
        ({"seed": "zero"}, "seed = 'zero': expected int, got str"),
        ({"seed.a": 1, "seed": 0}, "seed is a value, not a section"),
        ({"training": 3}, "training: expected a mapping"),
    ],
)
def test_what_a_config_refuses(values, message):
    with pytest.raises(InputError) as error:
        config.read_config(values)
    assert message in str(error.value)


@pytest.mark.parametrize("results", ["results", "/scratch/me/run.2", "../café_1+2/a-b", "runs/lr=1e-3,seed=0"])
def test_folders_that_a_shell_takes_for_one_word(results):
    assert read_section("run", {"results": results}).results == results


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model.steps": 100, "sampling.steps": 200}, "sampling.steps = 200: must be at most model.steps = 100"),
        (
            {"model.kind": "joint", "sampling.temperature": 1.5},
            "sampling.temperature = 1.5: must be 1 with model.kind = joint",
        ),
        (
            {"model.kind": "unit_cell", "sampling.proposals": 2},
            "sampling.proposals = 2: must be at most 1 with model.kind = unit",
        ),
        ({"sampling.number": 3}, "sampling.number = 3: must be at least shards.sample = 4"),
    ],
)
def test_what_does_not_go_together(values, message):
    with pytest.raises(InputError) as error:
        config.check_together(config.read_config(values))
    assert message in str(error.value)


def test_given_weights_bring_their_own_model():
    """The section `model` is not theirs, so nothing can be said against it."""
    values = {"training.weights": "mp20", "model.kind": "joint", "sampling.temperature": 1.5, "sampling.steps": 2000}
    config.check_together(config.read_config(values))


def test_dotted_keys_and_empty_sections():
    read = config.read_config({"sampling.number": 7, "sampling": {"steps": 5}, "training": None})
    assert (read["sampling"].number, read["sampling"].steps) == (7, 5)
    assert read["training"] == TrainingSettings()


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.none() | st.lists(st.integers())))
def test_any_mapping_is_read_or_refused_in_words(values):
    with contextlib.suppress(InputError):
        config.read_config(values)


def test_config_yaml_is_the_defaults():
    """config/config.yaml shows every setting, at the value that the code has without it."""
    path = ROOT / "config" / "config.yaml"
    values = config.read_config_file(path)
    assert config.read_config(values) == config.read_config({})
    complete = config.read_config({})
    assert set(values) == {*SECTIONS, *config.RUN_KEYS}
    for name in SECTIONS:
        assert set(values[name]) == {field.name for field in dataclasses.fields(complete[name])}, name


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configurations_are_valid(path):
    values = config.read_config_file(path)
    config.check_together(config.read_config(values))
    jsonschema.validate(values, config.schema())
    assert values["results"].startswith("results")
    needs_gpu = config.needs_gpu(config.read_config(values)["model"], config.read_config(values)["training"])
    assert needs_gpu == (path.name in ("config.yaml", "paper.yaml", "symmcd.yaml"))


def test_schema_file_is_up_to_date():
    path = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert written == config.schema(), "run: symmcd settings --schema > workflow/schemas/config.schema.yaml"


def test_description_is_a_config_file_again():
    text = config.describe(config.read_config({}))
    assert config.read_config(yaml.safe_load(text)) == config.read_config({})
    assert "# Å, tolerance" in text
    for name in SECTIONS:
        assert f"\n{name}:\n" in text


def test_small_training_needs_no_gpu():
    paper = StagedSettings(), TrainingSettings()
    assert config.needs_gpu(*paper)
    assert not config.needs_gpu(paper[0], dataclasses.replace(paper[1], epochs=2))
    assert not config.needs_gpu(paper[0], dataclasses.replace(paper[1], max_minutes=30))


@pytest.mark.parametrize(("text", "value"), [("a.b=1", 1), ("a.b=[1, 2]", [1, 2]), ("a.b=", None), ("a.b=x=y", "x=y")])
def test_changes(text, value):
    assert config.parse_changes([text]) == {"a.b": value}


@pytest.mark.parametrize("text", ["a.b", "=3", "a.b=[1"])
def test_changes_that_are_none(text):
    with pytest.raises(InputError, match=r"YAML value|section\.key=value"):
        config.parse_changes([text])


def test_config_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"none.yaml: cannot read it \(No such file"):
        config.read_config_file(tmp_path / "none.yaml")
    for text, message in (("a: [", "not valid YAML"), ("- 1", "expected sections such as"), ("", "expected sections")):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            config.read_config_file(path)


def test_json_is_stable():
    assert config.as_json(StagedSettings()) == config.as_json(StagedSettings())
    assert list(json.loads(config.as_json(StagedSettings()))) == sorted(json.loads(config.as_json(StagedSettings())))


def test_numbers_as_snakemake_hands_them_over() -> None:
    """`--config 'sampling={number: 1000}'` reaches us as the text '1000'."""
    settings = read_section("sampling", {"number": "1000", "corrector": "False", "corrector_step": "1e-4"})
    assert (settings.number, settings.corrector, settings.corrector_step) == (1000, False, 1e-4)
    with pytest.raises(InputError, match="expected int, got float"):
        read_section("sampling", {"number": "10.5"})


def test_a_model_of_another_package_may_have_a_setting_that_ours_had():
    @dataclasses.dataclass(frozen=True)
    class Others(ModelSettings):
        kind: Kind = "others"
        aggregation: str = "sum"

    MODELS.add("others", dataclasses.replace(MODELS["staged"], name="others", settings=Others))
    try:
        assert read_section("model", {"kind": "others", "aggregation": "mean"}).aggregation == "mean"
    finally:
        MODELS.remove("others")


def test_space_groups_are_numbers_or_symbols():
    asked = {"space_groups": [62, "Pnma", "P6_3/mmc", "225"]}
    assert read_section("sampling", asked).space_groups == (62, 62, 194, 225)
    jsonschema.validate({"sampling": asked}, config.schema())
    with pytest.raises(InputError, match=r"sampling.space_groups\[0\]: space group 'Pnam': .*near it: .*Pnma"):
        read_section("sampling", {"space_groups": ["Pnam"]})


def test_a_kind_of_model_takes_its_own_settings():
    """config.yaml names those of one kind; a configuration of another kind, put over it, leaves these out."""
    both = {"kind": "joint", "width": 8, "frequencies": 3, "wyckoff_width": 64, "dropout": 0.1}
    assert dataclasses.asdict(config.read_config({"model": both})["model"]).items() >= {"frequencies": 3}.items()
    with pytest.raises(InputError, match=r"model\.wyckoff_width is not a setting"):
        read_section("model", both)
    with pytest.raises(InputError, match=r"model\.dropout = 1\.0: at least 0, below 1"):
        config.read_config({"model": both | {"dropout": 1}})
    with pytest.raises(InputError, match=r"model\.wyckof_width is not a setting"):
        config.read_config({"model": {"kind": "joint", "wyckof_width": 64}})
    with pytest.raises(InputError, match=r"model\.kind = 'stagd': choose one of 'staged', 'joint', 'unit_cell'"):
        config.read_config({"model": {"kind": "stagd"}})
    with pytest.raises(InputError, match="belong to another kind of model"):
        dataclasses.replace(StagedSettings(), kind="joint")
