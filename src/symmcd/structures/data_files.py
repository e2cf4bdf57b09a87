"""Files that are downloaded: their addresses and checksums stand in data-files.json, and nowhere else."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from symmcd.structures.fetch import fetch


@dataclass(frozen=True)
class DataFile:
    """A published file."""

    name: str
    url: str
    digest: str  # kind of the checksum, of `fetch.DIGESTS`
    checksum: str


@functools.cache
def data_files(source: str) -> dict[str, DataFile]:
    """Files of a source in data-files.json, by their names."""
    text = (resources.files("symmcd.structures") / "data-files.json").read_text(encoding="utf-8")
    return {name: DataFile(name, **about) for name, about in json.loads(text)[source].items()}


@dataclass(frozen=True)
class Downloads:
    """Folder and options for the downloads of a source.

    Attributes:
        folder: for the files; a file there with the right checksum is not downloaded again.
        retries: attempts per file.
        mirror: address of a folder to take the files from in place of their own; empty for none.
    """

    folder: Path
    retries: int = 5
    mirror: str = ""

    def get(self, file: DataFile) -> Path:
        """The file, downloaded and verified (`fetch.fetch`).

        Raises:
            InputError: it cannot be downloaded, has another checksum, or there is no place for it.
        """
        url = f"{self.mirror.rstrip('/')}/{file.name}" if self.mirror else file.url
        path = self.folder / file.name
        fetch(url, path, file.checksum, self.retries, digest=file.digest)
        return path
