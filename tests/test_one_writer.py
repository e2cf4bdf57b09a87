"""One process an output: who comes second is told who writes, and a lock of the dead is none."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from symmcd import one_writer as module
from symmcd.errors import InputError
from symmcd.journal import Journal
from symmcd.one_writer import WriterLock, one_writer

HOLD = """\
import sys, time
from pathlib import Path
from symmcd.one_writer import WriterLock

lock = WriterLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds ``out.csv``."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "out.csv"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"SLURM_JOB_ID": "38"},
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def elsewhere(path) -> str:
    """What another process says that wants to write `path`; empty if it may."""
    script = "import sys; from pathlib import Path; from symmcd.one_writer import one_writer\n"
    script += "with one_writer(Path(sys.argv[1])): pass"
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    return done.stderr.strip().rpartition("\n")[2]


def test_the_second_is_told_who_writes(tmp_path, holder):
    said = rf"another symmcd \(process {holder.pid} on \S+, SLURM job 38, since 20..-..-.. ..:..:..\) is writing "
    for take in (WriterLock, lambda path: Journal(path, {})):
        with pytest.raises(InputError, match=said + re.escape(f"{tmp_path}/out.csv; wait for it or end it")):
            take(tmp_path / "out.csv")
    with one_writer(tmp_path / "other.csv"):
        pass


@pytest.mark.parametrize("end", ["end", "kill"])
def test_the_end_of_a_process_frees_its_output(tmp_path, holder, end):
    holder.kill() if end == "kill" else holder.stdin.close()
    holder.wait()
    assert [p.name for p in tmp_path.iterdir()] == ([".out.csv.lock"] if end == "kill" else [])
    with one_writer(tmp_path / "out.csv"):
        assert "another symmcd" in elsewhere(tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []
    assert elsewhere(tmp_path / "out.csv") == ""


def test_a_process_may_hold_an_output_twice(tmp_path):
    outer, inner = WriterLock(tmp_path / "out.csv"), WriterLock(tmp_path / "." / "out.csv")
    outer.release()
    assert "another symmcd" in elsewhere(tmp_path / "out.csv")
    inner.release()
    inner.release()
    assert elsewhere(tmp_path / "out.csv") == ""


def test_a_forked_child_holds_nothing_and_frees_nothing(tmp_path):
    lock = WriterLock(tmp_path / "out.csv")
    child = os.fork()
    if not child:
        status = 1
        try:
            lock.release()
            WriterLock(tmp_path / "out.csv")
        except InputError:
            status = 0
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / ".out.csv.lock").exists()
    assert "another symmcd" in elsewhere(tmp_path / "out.csv")
    lock.release()


def test_a_file_that_its_holder_deletes_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """Between opening and locking: the lock would be one of a file that nobody finds any more."""
    path, real, locked = tmp_path / ".out.csv.lock", module._lock, []

    def lock(file):
        if not locked:
            path.unlink()
        locked.append(file)
        return real(file)

    monkeypatch.setattr(module, "_lock", lock)
    with one_writer(tmp_path / "out.csv"):
        assert len(locked) == 2
        assert "another symmcd" in elsewhere(tmp_path / "out.csv")


def test_a_lock_is_freed_when_its_stage_fails(tmp_path):
    def fails():
        with one_writer(tmp_path / "out.csv"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert elsewhere(tmp_path / "out.csv") == ""


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/out\.csv: cannot write here"):
        WriterLock(tmp_path / "file" / "out.csv")


def test_without_locks_in_the_file_system_it_goes_on(tmp_path, monkeypatch, capsys):
    import errno
    import fcntl

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    with one_writer(tmp_path / "out.csv"):
        assert "this file system has no locks" in capsys.readouterr().err
