"""YAML from outside: what is refused, with its line; what is read is what PyYAML reads."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd import cli
from symmcd.config import parse_changes
from symmcd.errors import InputError
from symmcd.settings import read_section
from symmcd.yaml_text import read_yaml, read_yaml_file

LAUGHS = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: [1,\nc: 2\n", 2, "not valid YAML: while parsing a flow sequence"),
        ("sampling:\n\tnumber: 3\n", 2, "not valid YAML: while scanning for the next token, found character '\\t'"),
        ("a: 1\n b: 2\n", 2, "not valid YAML"),
        ("a: 1\nb: {x: 1\nc: 2\n", 3, "not valid YAML: while parsing a flow mapping"),
        ("a: 'x\n", 1, "not valid YAML: while scanning a quoted scalar"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML: expected a single document in the stream"),
        ("a: 1\nb: *x\n", 2, "not valid YAML: found undefined alias 'x'"),
        ("a: !!python/object:os.system x\n", 1, "not valid YAML: could not determine a constructor"),
        ("a: 1\nb: \x07\n", 2, "not valid YAML: a character '\\x07'"),
        ("? [1, {}]\n: 2\n", 1, "not valid YAML: while constructing a mapping, found unhashable key"),
        ("seed: 1\nshards: {relax: 2}\nseed: 2\n", 3, "seed is given twice, in line 1 too; leave one out: seed: 2"),
        ("sampling:\n  number: 3\n  steps: 4\n  number: 5\n", 4, "number is given twice, in line 2 too"),
        ("sampling: {number: 3, number: 5}\n", 1, "number is given twice, in line 1 too"),
        ("sampling:\n  number: 3\nsampling.number: 5\n", 3, "sampling.number is given twice, in line 2 too"),
        ("sampling.number: 3\nsampling.steps: 5\nsampling.number: 4\n", 3, "sampling.number is given twice, in line 1"),
        ("a: 1\nsun:\n- {x: {y: 1, y: 2}}\n", 3, "y is given twice"),
        ("'a': 1\na: 2\n", 2, "a is given twice"),
        ("a: &x [*x]\n", 1, "an anchor that stands inside itself"),
        ("a: &x {b: {c: *x}}\n", 1, "an anchor that stands inside itself"),
        ("a: " + "[" * 80 + "]" * 80, 1, "more than 50 levels of nesting"),
    ],
)
def test_what_is_refused_and_in_which_line(text, line, said, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_yaml_file(path)
    assert str(error.value).startswith(f"{path}, line {line}: {said}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [LAUGHS, "a: " + "[" * 100_000, "a: " + "9" * 5000, "a: 2001-99-99", "- " * 30_000]
    + ["a: " + "{b: " * 60 + "1" + "}" * 60, "a: 1_" + "0" * 6000],
    ids=range(7),
)
def test_what_no_line_can_be_shown_of_is_one_line_too(text):
    with pytest.raises(InputError, match=r"\Ac\.yaml(, line 1)?: .{1,300}\Z"):
        read_yaml(text, "c.yaml")


def test_files_that_are_no_text(tmp_path):
    for number, (data, said) in enumerate(
        [
            (b"a: 1\nb: \xff\n", "line 2: not valid YAML: not UTF-8 text"),
            ("a: 1\n".encode("utf-16"), "line 1: not valid YAML: not UTF-8 text"),
            (b"a: 1\n" + b"#" * 2_000_000, "larger than 1000000 bytes"),
            (b"a: 1\n\0", "line 2: not valid YAML: a character '\\x00'"),
        ]
    ):
        path = tmp_path / f"{number}.yaml"
        path.write_bytes(data)
        with pytest.raises(InputError) as error:
            read_yaml_file(path)
        assert said in str(error.value)
    for path in (tmp_path, tmp_path / "none.yaml", tmp_path / "0.yaml" / "x"):
        with pytest.raises(InputError, match="cannot read it"):
            read_yaml_file(path)


def test_what_is_read(tmp_path):
    text = "\ufeffa: &base {x: 1, y: [1, 2.5, .nan]}\nb: {<<: *base, x: 3}\nc: *base\n1: 2\n1.5: z\nd:\n"
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    assert repr(read_yaml_file(path)) == repr(yaml.safe_load(text))
    assert read_yaml("", "c") is None
    assert read_yaml("a: 'a: 1'\nb: \"a\"\n", "c") == {"a": "a: 1", "b": "a"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_what_yaml_writes_is_read_again(value):
    assert read_yaml(yaml.safe_dump(value), "c") == yaml.safe_load(yaml.safe_dump(value))


@settings(deadline=None)
@given(st.text(alphabet="ab:[]{}&*!-?|>#%@'\"\n\t ,.0123~<=", max_size=40))
def test_any_text_is_read_or_refused_in_words(text):
    with contextlib.suppress(InputError):
        read_yaml(text, "c")


@pytest.mark.parametrize("value", ["[1", "9" * 5000, "2001-99-99", "{a: 1, a: 2}", "&x [*x]", "[" * 99999, "\x01"])
def test_changes_that_are_no_yaml(value):
    with pytest.raises(InputError, match=r"is not a YAML value \("):
        parse_changes([f"a.b={value}"])


@pytest.mark.parametrize("text", ['{"number": 3, "number": 4}', "[" * 100_000, '{"number": ' + "9" * 5000 + "}"])
def test_settings_that_are_no_json(text):
    with pytest.raises(InputError, match="sampling: settings are not valid JSON"):
        read_section("sampling", text)


@pytest.mark.parametrize("command", [["settings"], ["train", "t", "v", "--output=o"], ["sample", "d", "--output=o"]])
@pytest.mark.parametrize("text", [None, "a: [1\n", "seed: 1\nseed: 2\n", "training: {epochs: .nan}\n", LAUGHS])
def test_a_bad_config_file_is_one_line_and_exit_2(command, text, tmp_path, capsys):
    path = tmp_path / "c.yaml"
    if text is not None:
        path.write_text(text)
    assert cli.main([*command, "--config", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"symmcd {command[0]}: ")
    assert error.count("\n") == 1
    assert len(error) < 500
