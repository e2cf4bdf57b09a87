"""Stage download: the same tables from every kind of source, byte for byte the same again."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from tests.structures.test_cif import rock_salt
from tests.structures.test_read import table

from symmcd.errors import InputError
from symmcd.settings import DataSettings, read_section
from symmcd.stages import download
from symmcd.structures.data_files import DataFile
from symmcd.structures.fetch import git_blob_id
from symmcd.structures.read import read_rows

SPLITS = ("train", "val", "test")


def ids(folder):
    return {split: [row.material_id for row in read_rows(folder / f"{split}.csv.gz")] for split in SPLITS}


def source(folder, suffix=".csv", number=10):
    """A folder laid out as the public one."""
    folder.mkdir(parents=True)
    for split in SPLITS:
        content = [(i, f"{split}-{i}", 0.5, rock_salt(), i / 100) for i in range(number)]
        table(folder / f"{split}{suffix}", content)
    return folder


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_folder_of_tables(tmp_path, suffix):
    folder = source(tmp_path / "source", suffix)
    (folder / f"val_index{suffix}").write_text("not one of the tables")
    download.run(tmp_path / "raw", DataSettings(source=str(folder)))
    assert ids(tmp_path / "raw") == {split: [f"{split}-{i}" for i in range(10)] for split in SPLITS}
    with gzip.open(tmp_path / "raw" / "val.csv.gz", "rt") as file:
        assert file.readline() == "material_id,cif,formation_energy_per_atom,e_above_hull\n"
    row = list(read_rows(tmp_path / "raw" / "val.csv.gz"))[3]
    assert (row.cif, row.properties) == (rock_salt(), {"e_above_hull": 0.03})
    about = json.loads((tmp_path / "raw" / "source.json").read_text())
    for split in SPLITS:
        file = about["files"][f"{split}.csv.gz"]
        assert file["rows"] == file["rows_of_source"] == 10
        assert file["sha256"] == hashlib.sha256((tmp_path / "raw" / f"{split}.csv.gz").read_bytes()).hexdigest()
        assert (
            about["inputs"][f"{split}{suffix}"]
            == hashlib.sha256((folder / f"{split}{suffix}").read_bytes()).hexdigest()
        )


def test_the_same_again_byte_for_byte(tmp_path, monkeypatch):
    folder = source(tmp_path / "source")
    for number, when in enumerate((1e9, 1.5e9)):
        monkeypatch.setattr("time.time", lambda when=when: when)
        download.run(tmp_path / f"raw{number}", DataSettings(source=str(folder), limit=4))
    for name in (*(f"{split}.csv.gz" for split in SPLITS), "source.json"):
        assert (tmp_path / "raw0" / name).read_bytes() == (tmp_path / "raw1" / name).read_bytes()


def test_limit_draws_by_seed_and_apart_in_each_split(tmp_path):
    folder = source(tmp_path / "source", number=60)
    drawn = {}
    for seed in (0, 1):
        download.run(tmp_path / f"raw{seed}", DataSettings(source=str(folder), limit=8, split_seed=seed))
        drawn[seed] = ids(tmp_path / f"raw{seed}")
    assert drawn[0] != drawn[1]
    assert all(len(drawn[0][split]) == 8 for split in SPLITS)
    assert len({tuple(name.split("-")[1] for name in drawn[0][split]) for split in SPLITS}) == 3


@pytest.mark.parametrize("kind", ["csv", "cifs"])
def test_a_source_in_one_piece_is_divided(tmp_path, kind):
    if kind == "csv":
        where = table(tmp_path / "all.csv", [(i, f"m{i}", 0, rock_salt(), "") for i in range(20)])
    else:
        where = tmp_path / "cifs"
        where.mkdir()
        for i in range(20):
            (where / f"m{i}.cif").write_text(rock_salt())
    download.run(tmp_path / "raw", DataSettings(source=str(where), split=(0.5, 0.25, 0.25)))
    found = ids(tmp_path / "raw")
    assert [len(found[split]) for split in SPLITS] == [10, 5, 5]
    assert {name for part in found.values() for name in part} == {f"m{i}" for i in range(20)}


def test_sources_may_be_relative_or_hold_variables(tmp_path, monkeypatch):
    source(tmp_path / "data" / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_DATA", "data")
    for number, name in enumerate(("data/mine", "$MY_DATA/mine")):
        download.run(tmp_path / f"raw{number}", DataSettings(source=name))
    assert ids(tmp_path / "raw0") == ids(tmp_path / "raw1")


def test_bad_sources_are_named_by_their_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=str(tmp_path / "nowhere")):
        download.run(tmp_path / "raw", DataSettings(source="nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=str(tmp_path / "empty")):
        download.run(tmp_path / "raw", DataSettings(source="empty"))
    folder = source(tmp_path / "part")
    (folder / "val.csv").unlink()
    with pytest.raises(InputError, match=f"{folder}: has test, train but lacks val"):
        download.run(tmp_path / "raw", DataSettings(source="part"))
    (folder / "val.csv").write_text("material_id,cif\n")
    with pytest.raises(InputError, match="no crystals for val"):
        download.run(tmp_path / "raw", DataSettings(source="part"))


def test_a_truncated_source_makes_no_tables(tmp_path):
    folder = source(tmp_path / "source", ".csv.gz")
    path = folder / "test.csv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"test\.csv\.gz: damaged"):
        download.run(tmp_path / "raw", DataSettings(source=str(folder)))
    assert not (tmp_path / "raw").exists()


def test_where_nothing_can_be_written(tmp_path):
    """Root may write anywhere, so the parent of the output is a file."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another folder"):
        download.run(tmp_path / "file" / "raw", DataSettings(source=str(source(tmp_path / "source"))))


def test_prototypes(tmp_path, capsys):
    download.run(tmp_path / "raw", DataSettings(source="prototypes"))
    about = json.loads((tmp_path / "raw" / "source.json").read_text())
    kept = sum(file["rows"] for file in about["files"].values())
    assert kept + len(about["left_out"]) == 288
    assert f"left out {len(about['left_out'])} crystals" in capsys.readouterr().out
    assert all("atoms" in reason or "CHGNet" in reason for reason in about["left_out"].values())


def test_mp20_is_downloaded_verified_and_not_fetched_twice(tmp_path, monkeypatch):
    served = source(tmp_path / "served")
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    files = {path.name: DataFile(path.name, "-", "git blob", git_blob_id(path)) for path in served.iterdir()}
    monkeypatch.setattr("symmcd.structures.data_files.data_files", lambda _: files)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
    settings = DataSettings(url=f"http://127.0.0.1:{httpd.server_port}/", retries=1)
    try:
        download.run(tmp_path / "raw", settings)
    finally:
        httpd.shutdown()
        httpd.server_close()
    download.run(tmp_path / "raw", settings)  # the server is gone: only what is there and verified can serve
    assert ids(tmp_path / "raw") == {split: [f"{split}-{i}" for i in range(10)] for split in SPLITS}
    download.run(tmp_path / "raw2", DataSettings(source=str(tmp_path / "raw" / "original")))
    assert ids(tmp_path / "raw2") == ids(tmp_path / "raw")
    shutil.rmtree(tmp_path / "raw" / "original")
    with pytest.raises(InputError, match="Without a network"):
        download.run(tmp_path / "raw", settings)


@pytest.mark.skipif("SYMMCD_MP20" not in os.environ, reason="SYMMCD_MP20 does not name a folder with MP-20")
def test_the_local_copy_of_mp20(tmp_path):
    download.run(tmp_path, DataSettings(source=os.environ["SYMMCD_MP20"], limit=20))
    assert {split: len(names) for split, names in ids(tmp_path).items()} == dict.fromkeys(SPLITS, 20)
    about = json.loads((tmp_path / "source.json").read_text())
    assert [about["files"][f"{split}.csv.gz"]["rows_of_source"] for split in SPLITS][1:] == [9047, 9046]
    assert all(Path(name).name == f"{split}.csv.gz" for split, name in zip(SPLITS, about["inputs"], strict=True))


@pytest.mark.parametrize(
    "values",
    [{"split": [0.5, 0.5, 0.5]}, {"split": [1.0, 0.0, 0.0]}, {"retries": 0}, {"limit": -1}, {"split_seed": -1}],
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(InputError, match=r"data\."):
        read_section("data", values)


def renamed(cif, cation):
    return cif.replace("Na", cation)


def test_a_source_whose_validation_set_would_be_strange_is_split_so_that_it_trains(tmp_path, capsys):
    order = np.random.default_rng(0).permutation(20)
    strange = set(order[12:16].tolist())  # what a split of 0.6, 0.2, 0.2 puts into val
    content = [(i, f"m{i}", 0, renamed(rock_salt(), "Eu" if i in strange else "Na"), "") for i in range(20)]
    download.run(tmp_path / "raw", DataSettings(source=str(table(tmp_path / "all.csv", content))))
    rows = {split: list(read_rows(tmp_path / "raw" / f"{split}.csv.gz")) for split in SPLITS}
    assert [len(rows[split]) for split in SPLITS] == [12, 4, 4]
    assert sum("Eu" in row.cif for row in rows["train"]) >= 1
    assert all("Na" in row.cif for row in rows["val"]) or sum("Eu" in row.cif for row in rows["train"])
    assert "have elements that none of train has" not in capsys.readouterr().err


def test_a_split_that_cannot_train_is_said_with_what_to_set(tmp_path, capsys):
    cations = ["Li", "Na", "K", "Rb", "Cs", "Ag", "Cu", "Au", "Tl", "Eu"]
    content = [(i, f"m{i}", 0, renamed(rock_salt(), name), "") for i, name in enumerate(cations)]
    download.run(tmp_path / "raw", DataSettings(source=str(table(tmp_path / "all.csv", content))))
    said = capsys.readouterr().err
    assert "most crystals of val have elements that none of train has" in said
    assert "data.split = [0.6, 0.2, 0.2], data.split_seed = 0" in said


def test_crystals_of_another_source_are_not_replaced(tmp_path, monkeypatch):
    """Until source.json is deleted; the same source may be written in other ways."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINE", str(tmp_path))
    one, other = source(tmp_path / "one"), source(tmp_path / "other")
    download.run(tmp_path / "raw", DataSettings(source="one"))
    before = (tmp_path / "raw/train.csv.gz").read_bytes()
    for name in ("one/", "./one", str(one), "$MINE/one"):
        download.run(tmp_path / "raw", DataSettings(source=name))
    for name in (str(other), "prototypes", "mp20"):
        with pytest.raises(InputError, match=r"has crystals of data\.source = .*one, and this is") as error:
            download.run(tmp_path / "raw", DataSettings(source=name))
        assert "source.json" in str(error.value)
    assert (tmp_path / "raw/train.csv.gz").read_bytes() == before
    (tmp_path / "raw/source.json").unlink()
    download.run(tmp_path / "raw", DataSettings(source="other"))


@pytest.mark.parametrize("kind", ["tables", "csv", "cifs"])
def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, kind):
    if kind == "tables":
        where = source(tmp_path / "mine")
        changed = where / "val.csv"
    elif kind == "csv":
        where = changed = table(tmp_path / "all.csv", [(i, f"m{i}", 0, rock_salt(), "") for i in range(20)])
    else:
        where = tmp_path / "cifs"
        where.mkdir()
        for i in range(20):
            (where / f"m{i}.cif").write_text(rock_salt())
        changed = where / "m3.cif"
    read = download._read

    def slow(*arguments):
        raw = read(*arguments)
        changed.write_text(changed.read_text() + "\n")
        return raw

    monkeypatch.setattr(download, "_read", slow)
    with pytest.raises(InputError, match="changed while it was read; run this again"):
        download.run(tmp_path / "raw", DataSettings(source=str(where)))
    assert not (tmp_path / "raw/source.json").exists()
    monkeypatch.undo()
    download.run(tmp_path / "raw", DataSettings(source=str(where)))
