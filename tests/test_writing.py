"""Writes are whole or none, killed writers leave nothing for ever, and a full disk is one line that names the file."""

from __future__ import annotations

import csv
import errno
import gzip
import os
import resource
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from symmcd import writing
from symmcd.errors import InputError
from symmcd.storage import write_arrays, write_tensors
from symmcd.writing import atomic_folder, atomic_path, failed_write, host_name, remove_abandoned, temporary_name

LARGE = 200_000  # bytes that do not compress


@pytest.fixture
def small_files():
    """No file above 10 kB in this process; SIGXFSZ is ignored by Python, so that a write fails instead."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def dead():
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def text(path):
    with atomic_path(path) as temporary, temporary.open("w") as file:
        file.writelines("0123456789\n" for _ in range(LARGE // 10))


def table(path):
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows([[i, i * i] for i in range(LARGE // 10)])


def packed(path):
    with atomic_path(path) as temporary, gzip.open(temporary, "wb") as file:
        file.write(os.urandom(LARGE))


def archive(path):
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as file:
        file.writestr("a.cif", os.urandom(LARGE))
        file.writestr("b.cif", os.urandom(LARGE))


def arrays(path):
    write_arrays(path, {"a": np.frombuffer(os.urandom(LARGE), "u1"), "b": np.frombuffer(os.urandom(LARGE), "u1")})


def tensors(path):
    write_tensors(path, {"a": np.zeros(LARGE)}, {})


def frame(path):
    import pandas as pd

    with atomic_path(path) as temporary:
        pd.DataFrame({"a": np.random.default_rng(0).random(LARGE // 8)}).to_parquet(temporary)


def picture(path):
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.frombytes("RGB", (300, 300), os.urandom(270_000)).save(temporary)


def folder(path):
    with atomic_folder(path) as building:
        for i in range(3):
            (building / f"{i}.cif").write_bytes(os.urandom(6_000 * (i + 1)))


WRITERS = [text, table, packed, archive, arrays, tensors, frame, picture, folder]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_no_room_is_one_line_that_names_the_file(tmp_path, small_files, write):
    with pytest.raises(
        InputError, match=r"out\.(npz|png): larger than files may be here .* run the same command again$"
    ):
        write(tmp_path / ("out.png" if write is picture else "out.npz"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [text, archive, folder], ids=lambda write: write.__name__)
def test_no_room_keeps_what_was_there(tmp_path, write, small_files):
    path = tmp_path / "out"
    if write is folder:
        path.mkdir()
        path = path / "old.cif"
    path.write_text("old")
    with pytest.raises(InputError):
        write(tmp_path / "out")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk full"), (errno.EDQUOT, "quota"), (errno.EIO, "reports an error; check it")],
)
def test_each_reason_says_what_to_do(tmp_path, number, words):
    def fails():
        with atomic_path(tmp_path / "table.csv"):
            raise OSError(number, os.strerror(number))  # as `write` raises it: without a file name

    with pytest.raises(InputError, match=rf"table\.csv: .*{words}.* and run the same command again"):
        fails()


def test_an_error_of_another_file_stays(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        (tmp_path / "not_there").read_text()
    with pytest.raises(BrokenPipeError), atomic_path(tmp_path / "a"):
        raise BrokenPipeError(errno.EPIPE, "of a worker")
    with pytest.raises(InputError, match="cannot write here"), atomic_path(tmp_path / "a") as temporary:
        (temporary / "inside a file").write_text("")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_found_below_other_errors():
    def closes_badly():
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise ValueError("cannot close the archive")  # noqa: B904  (as zipfile does)

    with pytest.raises(ValueError, match="archive") as caught:
        closes_badly()
    assert failed_write(caught.value).errno == errno.ENOSPC
    assert failed_write(ValueError("no such space group")) is None
    assert failed_write(FileNotFoundError(errno.ENOENT, "No such file", "a.csv")) is None


def test_temporaries_of_the_dead_go(tmp_path, dead):
    path = tmp_path / "shard0.npz"
    old = time.time() - 2 * writing.OLD
    gone = [f".{host_name()}-{dead}.tmp.shard0.npz", ".elsewhere-12.tmp.shard0.npz", ".3942.tmp.shard0.npz"]
    stay = [
        f".{host_name()}-{os.getppid()}.tmp.shard0.npz",  # runs
        ".elsewhere-13.tmp.shard0.npz",  # may run
        f".{host_name()}-{dead}.tmp.shard1.npz",  # of another output
        ".shard0.npz.lock",
    ]
    for name in (*gone, *stay):
        (tmp_path / name).write_text("")
    for name in gone[1:]:
        os.utime(tmp_path / name, (old, old))
    write_arrays(path, {"a": np.zeros(3)})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*stay, "shard0.npz"])


def test_a_folder_of_the_dead_goes(tmp_path, dead):
    left = tmp_path / f".{host_name()}-{dead}.tmp.cif"
    left.mkdir()
    (left / "a.cif").touch()
    remove_abandoned(tmp_path / "cif")
    assert not left.exists()


def test_a_folder_of_before_is_put_back(tmp_path):
    """Killed between the two renames: the next writer finds it, and loses nothing if it fails too."""
    old = tmp_path / ".cif.old"
    old.mkdir()
    (old / "a.cif").touch()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "cif"):
        raise ZeroDivisionError
    assert [p.name for p in (tmp_path / "cif").iterdir()] == ["a.cif"]
    with atomic_folder(tmp_path / "cif") as building:
        (building / "b.cif").touch()
    assert [p.name for p in (tmp_path / "cif").iterdir()] == ["b.cif"]
    assert [p.name for p in tmp_path.iterdir()] == ["cif"]


def test_what_a_killed_writer_leaves_the_next_one_removes(tmp_path):
    script = "import sys, time; from pathlib import Path; from symmcd.writing import atomic_path\n"
    script += "with atomic_path(Path(sys.argv[1])) as t:\n t.write_text('half'); print(t, flush=True); time.sleep(60)"
    path = tmp_path / "out.csv"
    process = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
    temporary = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    assert [str(p) for p in tmp_path.iterdir()] == [temporary]
    with atomic_path(path) as new:
        new.write_text("whole")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("out.csv", "whole")]


def test_names_differ_by_machine_and_keep_the_suffix(tmp_path, monkeypatch):
    here = temporary_name(tmp_path / "a.npz")
    monkeypatch.setattr("socket.gethostname", lambda: "node7.cluster.example")
    there = temporary_name(tmp_path / "a.npz")
    assert here != there
    assert there.name == f".node7-{os.getpid()}.tmp.a.npz"
    monkeypatch.setattr("socket.gethostname", lambda: "../odd name")
    assert temporary_name(tmp_path / "a.npz").parent == tmp_path
