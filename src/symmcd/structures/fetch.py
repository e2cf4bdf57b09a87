"""Verified downloads: resumed where they broke off, retried with growing pauses, renamed once the checksum fits."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from symmcd.errors import InputError
from symmcd.one_writer import one_writer
from symmcd.writing import cannot_write

CHUNK = 1 << 16
TIMEOUT = 30.0  # seconds without a byte
PASSING = {408, 425, 429, 500, 502, 503, 504}  # HTTP states that may be over at the next attempt
ADVICE = (
    "Check data.url. Without a network, set data.source to a folder with train, val and test .csv or .csv.gz, or to"
    " prototypes"
)


def git_blob_id(path: Path) -> str:
    """SHA-1 that git gives a file: of ``blob``, a blank, the size, a zero byte and the content."""
    sha = hashlib.sha1(usedforsecurity=False)
    sha.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest()


def md5(path: Path) -> str:
    """MD5 of a file, against damage on the way; it proves no origin."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


DIGESTS: dict[str, Callable[[Path], str]] = {"git blob": git_blob_id, "MD5": md5}


def fetch(
    url: str,
    target: Path,
    checksum: str,
    retries: int,
    pause: float = 1.0,
    *,
    digest: str = "git blob",
    advice: str = ADVICE,
) -> None:
    """Download `url` to `target`, whose checksum must be `checksum`; an existing file with this checksum is kept.

    Received bytes are kept in ``<target>.part``, and the next attempt or run continues from there by HTTP Range.

    Args:
        url: http(s) address.
        target: where the file is to be.
        checksum: expected, as text.
        retries: attempts in all; an attempt that brought bytes before it broke off does not count.
        pause: seconds before the second attempt; doubled before each further one.
        digest: kind of the checksum, of `DIGESTS`.
        advice: what to do where nothing can be downloaded, for the end of an error.

    Raises:
        InputError: refused or not reachable, another checksum (the file is deleted), no place to write, or another
            process that downloads it.
    """
    if target.exists() and DIGESTS[digest](target) == checksum:
        print(f"{target}: already downloaded and verified", flush=True)
        return
    part = target.with_name(target.name + ".part")
    try:
        with one_writer(target):
            _receive_all(url, part, retries, pause, advice)
            found = DIGESTS[digest](part)
            if found != checksum:
                size = part.stat().st_size
                part.unlink()
                raise InputError(
                    f"{url}: wrong checksum: expected {digest} {checksum}, got {found} ({size} bytes, deleted)."
                    f" Run again; if this repeats, the file at this address has changed. {advice}"
                )
            part.replace(target)
    except OSError as error:
        raise cannot_write(part, error, "what has arrived is kept") from None


def _receive_all(url: str, part: Path, retries: int, pause: float, advice: str) -> None:
    """`_receive` until the file is complete."""
    attempt = 0
    while True:
        before = _size(part)
        try:
            _receive(url, part)
            return  # noqa: TRY300
        except urllib.error.HTTPError as error:
            if error.code not in PASSING:
                raise InputError(f"{url}: refused ({error.code} {error.reason}). {advice}") from None
            failure = f"{error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            failure = str(getattr(error, "reason", "") or error or type(error).__name__)
        attempt = 1 if _size(part) > before else attempt + 1
        if attempt >= retries:
            raise InputError(f"{url}: not downloaded after {attempt} attempts ({failure}). {advice}")
        wait = pause * 2 ** (attempt - 1)
        print(f"{part.stem}: {failure}; again in {wait:g} s", file=sys.stderr, flush=True)
        time.sleep(wait)


def _receive(url: str, part: Path) -> None:
    """Append to `part` what the server still has; start over if it cannot resume."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here; the checksum will tell
        raise
    with response:
        if response.status not in (http.client.OK, http.client.PARTIAL_CONTENT):
            raise ConnectionError(f"the server answered {response.status} {response.reason} without the file")
        resumed = response.status == http.client.PARTIAL_CONTENT
        if resumed and not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            part.unlink()
            raise ConnectionError("the server sent another part of the file than requested")
        received = have if resumed else 0
        total = None if response.length is None else received + response.length
        with part.open("ab" if resumed else "wb") as file:
            shown = 0.0
            while chunk := response.read(CHUNK):
                file.write(chunk)
                received += len(chunk)
                shown = _show(part.stem, received, total, shown)
        if total is not None and received < total:
            raise ConnectionError(f"connection closed after {received} of {total} bytes")


def _show(name: str, received: int, total: int | None, last: float) -> float:
    """Say how far a download is, if it is time to; returns when it was last said."""
    terminal = sys.stderr.isatty()
    now = time.monotonic()
    if now - last < (0.2 if terminal else 10.0) and received != total:
        return last
    of = "" if total is None else f" of {total / 1e6:.1f}"
    end = "\r" if terminal and received != total else "\n"
    print(f"{name}: {received / 1e6:.1f}{of} MB", end=end, file=sys.stderr, flush=True)
    return now


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
