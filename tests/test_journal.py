"""The journal of a long stage: nothing lost, nothing half, nothing of other work."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.errors import InputError
from symmcd.journal import Journal, Progress


def test_cut_lines_are_dropped_however_often_it_is_killed(tmp_path):
    output = tmp_path / "deep" / "out.csv"
    for kill in range(3):
        journal = Journal(output, {"seed": 0})
        assert journal.done == [{"id": n} for n in range(kill)]
        journal.append({"id": kill})
        journal.close()
        with journal.path.open("ab") as file:
            file.write(b'{"id": 99, "energy": -3.14159, "st')
    journal = Journal(output, {"seed": 0})
    assert [result["id"] for result in journal.done] == [0, 1, 2]
    journal.remove()
    assert not journal.path.exists()


def test_a_cut_head_starts_over(tmp_path):
    (tmp_path / "out.csv.partial").write_bytes(b'{"work": {"se')
    journal = Journal(tmp_path / "out.csv", {"seed": 0})
    journal.append({"id": 1})
    journal.close()
    assert Journal(tmp_path / "out.csv", {"seed": 0}).done == [{"id": 1}]


def test_other_work_starts_over_and_says_so(tmp_path, capsys):
    journal = Journal(tmp_path / "out.csv", {"seed": 0})
    journal.append({"id": 1}, {"id": 2})
    journal.close()
    again = Journal(tmp_path / "out.csv", {"seed": 1})
    assert again.done == []
    assert "starting again" in capsys.readouterr().out
    again.close()
    assert Journal(tmp_path / "out.csv", {"seed": 1}).done == []


def test_damage_and_folders_that_cannot_be_written(tmp_path):
    journal = Journal(tmp_path / "out.csv", {})
    journal.append({"id": 1}, {"id": 2})
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes().replace(b'{"id": 1}', b'{"id"; 1}'))
    with pytest.raises(InputError, match=r"out.csv.partial: damaged"):
        Journal(tmp_path / "out.csv", {})
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write here"):
        Journal(tmp_path / "file" / "out.csv", {})


def written(path, *results):
    journal = Journal(path, {"seed": 0})
    journal.append(*results)
    journal.close()
    return journal.path


def test_lines_are_json_for_whoever_reads_them(tmp_path):
    path = written(tmp_path / "out.csv", {"id": 1, "text": "ä\r\u2028 "}, {"id": 2})
    assert [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]][1:] == [
        {"id": 1, "text": "ä\r\u2028 "},
        {"id": 2},
    ]


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
@settings(max_examples=300, deadline=None)
def test_no_changed_bit_is_believed(place, bit):
    """Whatever bit changes: results that are read are those that were written, in their order, from the first on."""
    results = [{"id": n, "energy": -1.25 * n} for n in range(4)]
    with TemporaryDirectory() as folder:
        path = written(Path(folder) / "out.csv", *results)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << bit
        path.write_bytes(content)
        try:
            journal = Journal(Path(folder) / "out.csv", {"seed": 0})
        except InputError as error:
            assert "damaged" in str(error)  # noqa: PT017
        else:
            assert journal.done == results[: len(journal.done)]
            # a head that reads as none; the last line, or the end of the line before it; trailing blanks of none
            assert len(journal.done) in (0, 2, 3, 4)
            journal.close()


def test_a_damaged_tail_is_computed_again(tmp_path, capsys):
    path = written(tmp_path / "out.csv", {"id": 1}, {"id": 2}, {"id": 3})
    content = path.read_bytes()
    path.write_bytes(content[:-30] + bytes(25) + b"\n" + bytes(200))  # as a power cut leaves it
    journal = Journal(tmp_path / "out.csv", {"seed": 0})
    assert [result["id"] for result in journal.done] == [1, 2]
    assert "damaged after 2 results; computing the rest again" in capsys.readouterr().out
    journal.append({"id": 3})
    journal.close()
    assert path.read_bytes() == content


def test_journals_without_checksums_are_gone_on_from(tmp_path):
    path = tmp_path / "out.csv.partial"
    path.write_text('{"work": {"seed": 0}}\n{"id": 1}\n{"id": 2}\n{"id": 3, "en')
    written(tmp_path / "out.csv", {"id": 3})
    again = Journal(tmp_path / "out.csv", {"seed": 0})
    assert [result["id"] for result in again.done] == [1, 2, 3]
    again.close()
    path.write_bytes(path.read_bytes().replace(b'"id": 2', b'"id"; 2'))
    with pytest.raises(InputError, match=r"damaged in line 3; delete that line and those after it"):
        Journal(tmp_path / "out.csv", {"seed": 0})


def test_a_full_disk_says_from_where_it_goes_on(tmp_path):
    journal = Journal(tmp_path / "out.csv", {"seed": 0})
    journal.append({"id": 1}, {"id": 2})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(InputError, match=r"out\.csv\.partial: larger .* again, it goes on from 2 results"):
            journal.append({"id": 3, "text": 100 * "x"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.close()
    again = Journal(tmp_path / "out.csv", {"seed": 0})
    assert again.done == [{"id": 1}, {"id": 2}]
    again.remove()
    again.remove()  # another process may have deleted it
    assert list(tmp_path.iterdir()) == []


def test_progress_in_a_log_is_plain_lines(capsys, monkeypatch):
    """The first result took ten seconds of loading, which the two others do not take again."""
    moments = iter([1010.0, 1011.0, 1042.0])
    monkeypatch.setattr("symmcd.journal.time", SimpleNamespace(monotonic=lambda: next(moments)))
    with Progress(35, 2, "crystals") as progress:
        progress.advance(1, "NaCl converged")
        progress.advance(1, "KCl converged")  # too soon for another line
        progress.advance(15, "CsCl converged")
    assert capsys.readouterr().err.splitlines() == [
        "3/35 crystals, NaCl converged", "19/35 crystals, 0.5 a second, 0.5 min left, CsCl converged",
    ]  # fmt: skip
