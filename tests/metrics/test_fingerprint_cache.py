"""The cache of fingerprints: what comes out of it went into it, whatever has happened to its file."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symmcd.errors import InputError
from symmcd.metrics import fingerprints
from symmcd.metrics.fingerprint_cache import Cache
from symmcd.metrics.fingerprints import content_key
from symmcd.structures.cell import Cell
from symmcd.workers import Outcome

KEYS = [bytes([i]) * 32 for i in range(40)]
KNOWN = {
    key: Outcome("atoms_coincide", None, f"atoms 1 and {i} coincide")
    if i % 7 == 3
    else Outcome("ok", np.random.default_rng(i).normal(size=61))
    for i, key in enumerate(KEYS)
}


def fill(path: Path) -> bytes:
    with Cache(path) as cache:
        for key, outcome in KNOWN.items():
            cache.put(key, outcome)
    return path.read_bytes()


def same(one: Outcome, other: Outcome) -> bool:
    return (one.status, one.detail) == (other.status, other.detail) and np.array_equal(
        np.zeros(0) if one.value is None else one.value, np.zeros(0) if other.value is None else other.value
    )


def test_what_was_put_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path / "cache.sqlite")
    with Cache(tmp_path / "cache.sqlite") as cache:
        for key, outcome in KNOWN.items():
            found = cache.get(key)
            assert found is not None
            assert same(found, outcome)
        assert cache.get(b"another") is None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["flipped", "zeroed", "cut", "one byte"])
def test_a_damaged_file_gives_no_wrong_fingerprint(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each outcome comes back as it was or not at all, and what is put again is there again; or the file is refused."""
    path = tmp_path / "cache.sqlite"
    whole = np.frombuffer(fill(path), np.uint8)
    refusals, lost = [], 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        content = whole.copy()
        if kind == "flipped":
            places = rng.choice(len(content), 200, replace=False)
            content[places] ^= rng.integers(1, 256, 200, dtype=np.uint8)
        elif kind == "one byte":
            content[rng.integers(len(content))] ^= rng.integers(1, 256, dtype=np.uint8)
        elif kind == "zeroed":
            start = rng.integers(len(content))
            content[start : start + 4096] = 0
        else:
            content = content[: rng.integers(1, len(content))]
        path.with_name("cache.sqlite-journal").unlink(missing_ok=True)
        path.write_bytes(content.tobytes())
        try:
            with Cache(path) as cache:
                for key, outcome in KNOWN.items():
                    found = cache.get(key)
                    if found is None:
                        lost += 1
                        cache.put(key, outcome)
                    else:
                        assert same(found, outcome), (kind, seed, key[0])
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) < 60
    assert len(refusals) + lost > 0
    assert all("cannot be used as a cache" in words and "delete it" in words for words in refusals)
    said = capsys.readouterr().err.splitlines()
    assert len(said) <= 120, "at most what was damaged, and that it went on without, once a run"
    assert all("cache.sqlite: " in line for line in said)


ROW = st.fixed_dictionaries(
    {
        "status": st.sampled_from([b"ok", b"atoms_coincide", "ok", 1, b"\xff"]),
        "detail": st.sampled_from([b"", b"x", b"\xff\xfe", 2.5]),
        "value": st.one_of(st.none(), st.binary(max_size=600), st.just(np.ones(61).tobytes()), st.just(7)),
        "checksum": st.one_of(st.binary(max_size=32), st.just(0)),
    }
)


@given(row=ROW)
@settings(max_examples=60, deadline=None)
def test_a_row_of_anything_is_no_fingerprint(tmp_path_factory: pytest.TempPathFactory, row: dict[str, object]) -> None:
    path = tmp_path_factory.mktemp("row") / "cache.sqlite"
    with Cache(path):
        pass
    with sqlite3.connect(path) as database:
        database.execute(
            "INSERT INTO fingerprint VALUES (?, ?, ?, ?, ?)",
            (b"key", *(row[name] for name in ("status", "detail", "value", "checksum"))),
        )
    database.close()
    with Cache(path) as cache:
        assert cache.get(b"key") is None


def test_damage_is_said_once_with_its_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cache.sqlite"
    fill(path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE fingerprint SET value = zeroblob(488) WHERE status = CAST('ok' AS BLOB)")
    database.close()
    with Cache(path) as cache:
        missed = [key for key in KEYS if cache.get(key) is None]
    assert len(missed) == sum(outcome.status == "ok" for outcome in KNOWN.values()) == 34
    assert capsys.readouterr().err.count("34 damaged fingerprints were computed again") == 1


def test_a_fingerprint_that_is_not_whole_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    wrong = [np.ones(60), np.full(61, np.nan), np.full(61, np.inf), None]
    with Cache(path) as cache:
        for i, value in enumerate(wrong):
            cache.put(bytes([i]), Outcome("ok", value))
    with Cache(path) as cache:
        assert [cache.get(bytes([i])) for i in range(4)] == [None] * 4


def test_a_cache_without_checksums_is_started_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cache.sqlite"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE fingerprint (key BLOB PRIMARY KEY, status TEXT NOT NULL, detail TEXT NOT NULL, value BLOB)"
            " WITHOUT ROWID"
        )
        database.execute("INSERT INTO fingerprint VALUES (?, 'ok', '', ?)", (KEYS[0], np.ones(61).tobytes()))
    database.close()
    with Cache(path) as cache:
        assert cache.get(KEYS[0]) is None
        cache.put(KEYS[0], KNOWN[KEYS[0]])
    assert "without checksums; computing its 1 fingerprints again" in capsys.readouterr().err
    with Cache(path) as cache:
        assert cache.get(KEYS[0]) is not None
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", fingerprints.COMPUTED_BY)
def test_another_version_has_other_keys(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    cell = Cell(4 * np.eye(3), np.ones(1, int), np.zeros((1, 3)))
    fingerprints._computed_by.cache_clear()
    before = content_key(cell)
    real = fingerprints.metadata.version
    monkeypatch.setattr(fingerprints.metadata, "version", lambda of: "0.0" if of == name else real(of))
    fingerprints._computed_by.cache_clear()
    assert content_key(cell) != before
    monkeypatch.undo()
    fingerprints._computed_by.cache_clear()
    assert content_key(cell) == before


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_a_full_disk_costs_time_only(tmp_path, capsys, there):
    if there:
        with Cache(tmp_path / "cache.sqlite"):
            pass
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, before[1]))
    try:
        with Cache(tmp_path / "cache.sqlite") as cache:
            for i in range(20):
                cache.put(bytes([i]) * 32, Outcome("ok", np.full(61, 0.5)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert "cache.sqlite: no longer used as a cache" in said
    assert "delete" not in said
    assert said.count("\n") == 1
