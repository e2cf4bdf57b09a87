"""Downloads against a server on this machine: whole, resumed, refused, cut short, wrong, unreachable."""

from __future__ import annotations

import hashlib
import subprocess

import numpy as np
import pytest
from tests.structures.file_server import file_server

from symmcd.errors import InputError
from symmcd.structures.fetch import fetch, git_blob_id

CONTENT = np.random.default_rng(0).bytes(300_000)
BLOB = hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT).hexdigest()


@pytest.fixture
def serve(monkeypatch):
    with file_server(monkeypatch) as start:
        yield lambda *script: start(CONTENT, *script)


def test_blob_id_is_that_of_git(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    printed = subprocess.run(["git", "hash-object", tmp_path / "a"], capture_output=True, text=True, check=True).stdout
    assert git_blob_id(tmp_path / "a") == printed.strip() == BLOB


@pytest.mark.parametrize(
    ("script", "ranges"),
    [
        ([], [None]),
        ([503], [None, None]),
        ([429, 500, 502], [None] * 4),
        ([("cut", 100_000)], [None, "bytes=100000-"]),
        ([("cut", 100_000), ("cut", 50_000)], [None, "bytes=100000-", "bytes=150000-"]),
        ([("cut", 0)], [None, None]),
        ([("cut", 100_000), "no ranges"], [None, "bytes=100000-"]),
        ([("cut", 100_000), "wrong range"], [None, "bytes=100000-", None]),
    ],
)
def test_arrives_whole_whatever_happens_on_the_way(serve, tmp_path, script, ranges):
    server = serve(*script)
    fetch(f"{server.url}/a.csv", tmp_path / "deep" / "a.csv", BLOB, retries=5, pause=0.001)
    assert (tmp_path / "deep" / "a.csv").read_bytes() == CONTENT
    assert server.ranges == ranges
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.csv"]


@pytest.mark.parametrize(("have", "asked"), [(123_456, "bytes=123456-"), (300_000, "bytes=300000-"), (0, None)])
def test_goes_on_from_what_an_earlier_run_left(serve, tmp_path, have, asked):
    server = serve()
    (tmp_path / "a.csv.part").write_bytes(CONTENT[:have])
    fetch(f"{server.url}/a.csv", tmp_path / "a.csv", BLOB, retries=1)
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    assert server.ranges == [asked]


def test_a_file_that_is_here_is_verified_and_kept(serve, tmp_path):
    server = serve()
    (tmp_path / "a.csv").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "a.csv", BLOB, retries=1)
    assert server.ranges == []
    (tmp_path / "a.csv").write_bytes(CONTENT[:-1])
    fetch(server.url, tmp_path / "a.csv", BLOB, retries=1)
    assert server.ranges == [None]
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_wrong_checksum_says_both_and_leaves_nothing(serve, tmp_path):
    server = serve()
    wrong = "0" * 40
    with pytest.raises(InputError, match=f"expected git blob {wrong}, got {BLOB} .*deleted"):
        fetch(server.url, tmp_path / "a.csv", wrong, retries=5, pause=0.001)
    assert len(server.ranges) == 1
    assert list(tmp_path.iterdir()) == []


def test_wrong_leftovers_do_not_pass(serve, tmp_path):
    (tmp_path / "a.csv.part").write_bytes(b"x" * 1000)
    server = serve()
    with pytest.raises(InputError, match="wrong checksum"):
        fetch(server.url, tmp_path / "a.csv", BLOB, retries=1)
    fetch(server.url, tmp_path / "a.csv", BLOB, retries=1)
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_not_found_is_not_tried_again(serve, tmp_path):
    server = serve(404)
    with pytest.raises(InputError, match=r"404.*data\.url"):
        fetch(server.url, tmp_path / "a.csv", BLOB, retries=5, pause=0.001)
    assert len(server.ranges) == 1


def test_gives_up_after_all_attempts_and_keeps_what_came(serve, tmp_path):
    server = serve(("cut", 1000), 503, 503, 503)
    with pytest.raises(InputError, match=r"not downloaded after 3 attempts .503"):
        fetch(server.url, tmp_path / "a.csv", BLOB, retries=3, pause=0.001)
    assert (tmp_path / "a.csv.part").read_bytes() == CONTENT[:1000]


def test_attempts_that_bring_something_do_not_count(serve, tmp_path):
    server = serve(*[("cut", 50_000)] * 4)
    fetch(server.url, tmp_path / "a.csv", BLOB, retries=2, pause=0.001)
    assert (tmp_path / "a.csv").read_bytes() == CONTENT


def test_without_a_network_the_way_out_is_named(tmp_path):
    with pytest.raises(InputError, match=r"set data\.source to a folder"):
        fetch("http://127.0.0.1:9/a.csv", tmp_path / "a.csv", BLOB, retries=2, pause=0.001)


def test_where_nothing_can_be_written(serve, tmp_path):
    """Root may write anywhere, so the parent of the target is a file."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another folder"):
        fetch(serve().url, tmp_path / "file" / "a.csv", BLOB, retries=1)


def test_md5_and_what_to_do_are_the_callers(serve, tmp_path):
    server = serve()
    good = hashlib.md5(CONTENT).hexdigest()
    fetch(server.url, tmp_path / "a.gz", good, retries=1, digest="MD5", advice="Check hull.url")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    with pytest.raises(InputError, match=f"expected MD5 {'0' * 32}, got {good} .*Check hull.url$"):
        fetch(server.url, tmp_path / "b.gz", "0" * 32, retries=1, digest="MD5", advice="Check hull.url")
    with pytest.raises(InputError, match=r"refused \(404 .*\)\. Check hull.url$"):
        fetch(serve(404).url, tmp_path / "b.gz", good, retries=1, digest="MD5", advice="Check hull.url")


def test_resumes_behind_a_redirect(serve, tmp_path):
    """As figshare answers: elsewhere, and there from the byte that is missing."""
    server = serve("redirect", ("cut", 100_000), "redirect")
    fetch(f"{server.url}/files/1", tmp_path / "a.csv", BLOB, retries=2, pause=0.001)
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    assert server.ranges == [None, None, "bytes=100000-", "bytes=100000-"]


def test_an_answer_without_the_file_is_tried_again(serve, tmp_path):
    """202 with a page instead of the file, as a busy or guarded server sends it."""
    fetch(serve("accepted").url, tmp_path / "a.csv", BLOB, retries=2, pause=0.001)
    assert (tmp_path / "a.csv").read_bytes() == CONTENT
    with pytest.raises(InputError, match="answered 202 Accepted without the file"):
        fetch(serve("accepted").url, tmp_path / "b.csv", BLOB, retries=1)
    assert not (tmp_path / "b.csv.part").exists()
