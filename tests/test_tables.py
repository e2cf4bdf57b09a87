"""Tables between stages: a cut or changed one is refused with its row, never read as a smaller one."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.errors import InputError
from symmcd.tables import check_drawn, check_flags, check_ids, check_numbers, read_rows

ROWS = [
    {"id": f"{i:05d}", "formula": "NaN", "energy": f"{-3.25 * i:.6f}", "note": 'a "quoted", text', "valid": "True"}
    for i in range(5)
]


def text_of(rows: list[dict[str, str]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


WHOLE = text_of(ROWS)


def test_a_whole_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(WHOLE)
    assert read_rows(tmp_path / "t.csv", ("id", "energy"), "hull") == ROWS
    (tmp_path / "t.csv").write_text(WHOLE.splitlines(keepends=True)[0])
    assert read_rows(tmp_path / "t.csv", ("id",), "hull") == []


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_a_table_cut_anywhere_is_refused_or_cut_between_rows(tmp_path: Path, at: int) -> None:
    """And one that is cut between rows lacks crystals, which `check_ids` names."""
    path = tmp_path / "t.csv"
    path.write_text(WHOLE[:at])
    try:
        rows = read_rows(path, ROWS[0], "hull")
    except InputError:
        return
    assert rows == ROWS[: len(rows)]
    assert WHOLE[at - 1] == "\n"
    with pytest.raises(InputError, match=rf"t\.csv: crystal {len(rows):05d} of other\.csv is missing"):
        check_ids(path, [row["id"] for row in rows], [row["id"] for row in ROWS], "other.csv", "hull")


@given(row=st.integers(0, 4), kept=st.integers(0, 4), more=st.integers(0, 2))
def test_a_row_of_another_number_of_fields_is_named(
    tmp_path_factory: pytest.TempPathFactory, row: int, kept: int, more: int
) -> None:
    lines = WHOLE.splitlines()
    fields = ["x"] * (5 + more + 1) if more else ["x"] * kept
    lines[row + 1] = ",".join(fields)
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"t\.csv, row {row + 1}: {len(fields)} fields, expected 5"):
        read_rows(path, ("id",), "relax")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty; run `symmcd relax` again"),
        (b"id,energy\n\xff\xfe,1\n", "not a readable table"),
        (b'id,energy\n"a,1\n', "not a readable table"),
        (b"id,energy\na\x00b,1\n", "t.csv"),
        (b"id,id,energy\na,b,1\n", "a column appears twice"),
        (b"formula\nNaCl\n", "lacks the column id"),
        (b"id,energy\na,1", "row 1: the file ends within this row"),
    ],
)
def test_what_is_no_table_is_said_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    try:
        rows = read_rows(tmp_path / "t.csv", ("id", "energy"), "relax")
    except InputError as error:
        said = str(error)
        assert words in said
        assert "\n" not in said
    else:
        assert rows == [{"id": "a\x00b", "energy": "1"}]
    with pytest.raises(InputError, match="no such file; run `symmcd relax` first"):
        read_rows(tmp_path / "none.csv", ("id",), "relax")


@pytest.mark.parametrize("text", ["0.5.0", "nan", "inf", "-", "1,5", "None", "0x1"])
def test_what_is_no_number_is_named(tmp_path: Path, text: str) -> None:
    rows = [*ROWS[:2], ROWS[2] | {"energy": text}]
    with pytest.raises(InputError, match=r"t\.csv, row 3: energy '.*' is not a number"):
        check_numbers(tmp_path / "t.csv", rows, ("energy",), "hull")
    check_numbers(tmp_path / "t.csv", [{"energy": ""}, {"energy": "-1e-3"}, {}], ("energy",), "hull")


@pytest.mark.parametrize("text", ["true", "1", "Tru", " True"])
def test_what_is_no_flag_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"row 2: valid '.*' is not True or False"):
        check_flags(tmp_path / "t.csv", [ROWS[0], ROWS[1] | {"valid": text}], ("valid",), "score")
    check_flags(tmp_path / "t.csv", [{"valid": ""}, {"valid": "False"}, {}], ("valid",), "score")


@given(names=st.lists(st.text("abc", min_size=1, max_size=3), unique=True, min_size=1), data=st.data())
@settings(max_examples=60)
def test_crystals_lost_doubled_or_strange_are_named(names: list[str], data: st.DataObject) -> None:
    path, other = Path("t.csv"), Path("other.csv")
    check_ids(path, data.draw(st.permutations(names)), names, other, "hull")
    at = data.draw(st.integers(0, len(names) - 1))
    with pytest.raises(InputError, match=f"crystal {names[at]} of other.csv is missing"):
        check_ids(path, names[:at] + names[at + 1 :], names, other, "hull")
    with pytest.raises(InputError, match=rf"row {len(names) + 1}: crystal {names[at]} appears twice \(row {at + 1}\)"):
        check_ids(path, [*names, names[at]], names, other, "hull")
    with pytest.raises(InputError, match=rf"row {at + 1}: crystal strange is not in other.csv"):
        check_ids(path, [*names[:at], "strange", *names[at:]], names, other, "hull")


def test_as_many_rows_as_were_drawn() -> None:
    check_drawn("t.csv", ["3", "3", "3"])
    check_drawn("t.csv", [3, 3, 3])
    check_drawn("t.csv", [])
    for drawn in (["3", "3"], [3] * 4, ["3", "3", "4"], ["", "3", "3"]):
        with pytest.raises(InputError, match=f"t.csv: {len(drawn)} crystals"):
            check_drawn("t.csv", drawn)
