"""The journal of a long stage: nothing lost, nothing half, nothing of other work."""

import pytest

from symmcd.errors import InputError
from symmcd.stability.journal import Journal, Progress


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
    assert "starting over" in capsys.readouterr().out
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


def test_progress_in_a_log_is_plain_lines(capsys):
    with Progress(4, 2, "crystals") as progress:
        progress.advance(1, "NaCl converged")
        progress.advance(1, "KCl converged")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["3/4 crystals", "4/4 crystals"]
    assert lines[1].endswith("0.0 min left, KCl converged")
