"""Verified downloads: resumed where they broke off, retried with growing pauses, renamed only when the checksum fits."""

from __future__ import annotations

import hashlib
import http.client
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from symmcd.errors import InputError

CHUNK = 1 << 16
TIMEOUT = 30.0  # seconds without a byte


def git_blob_id(path: Path) -> str:
    """SHA-1 that git gives a file: of ``blob <size>\\0`` and the content."""
    sha = hashlib.sha1(usedforsecurity=False)
    sha.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha.update(chunk)
    return sha.hexdigest()


def fetch(url: str, target: Path, blob_id: str, retries: int, pause: float = 1.0) -> None:
    """Download `url` to `target`, whose git blob id must be `blob_id`; a file that is there already and fits is kept.

    What has arrived is kept in ``<target>.part`` and gone on from by an HTTP range request.

    Args:
        url: http(s) address.
        target: where the file is to be.
        blob_id: expected `git_blob_id`.
        retries: attempts in all.
        pause: seconds before the second attempt; doubled before each further one.

    Raises:
        InputError: not reachable after all attempts, or a complete file with another checksum.
    """
    if target.exists() and git_blob_id(target) == blob_id:
        print(f"{target.name}: already here and verified")
        return
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failure = ""
    for attempt in range(max(retries, 1)):
        if attempt:
            wait = pause * 2 ** (attempt - 1)
            print(f"{target.name}: {failure}; again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)
        try:
            _receive(url, part)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            failure = str(getattr(error, "reason", "") or error)
            continue
        found = git_blob_id(part)
        if found == blob_id:
            part.replace(target)
            return
        part.unlink()
        failure = f"wrong checksum: git blob {found} instead of {blob_id}"
    raise InputError(
        f"{url}: not downloaded after {max(retries, 1)} attempts ({failure}). Check the network, or fetch the three csv files of"
        " MP-20 by other means and set data.source to their folder"
    )


def _receive(url: str, part: Path) -> None:
    """Append to `part` what the server still has; start over if it cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:  # all of it is here; the checksum will tell
            return
        raise
    with response, part.open("ab" if have and response.status == http.client.PARTIAL_CONTENT else "wb") as file:
        expected = response.length
        received = 0
        while chunk := response.read(CHUNK):
            file.write(chunk)
            received += len(chunk)
        if expected is not None and received < expected:
            raise ConnectionError(f"connection closed after {received} of {expected} bytes")
