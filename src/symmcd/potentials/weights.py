"""Weights as a package ships them: a file of known content, read without running anything that stands in it."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from symmcd.errors import InputError


@dataclass(frozen=True)
class Weights:
    """A file of weights in the wheel of a package."""

    name: str  # name of the network, for messages
    package: str
    package_version: str  # one that has this very file
    file: str  # below the folder of the package
    sha256: str

    def read(self, allowed: Sequence[Any] = ()) -> dict[str, Any]:
        """Content of the file, of which tensors and numbers are read and nothing is run (`weights_only`).

        Args:
            allowed: further kinds that it may hold, as `torch.serialization.safe_globals` takes them.

        Raises:
            ModuleNotFoundError: the package is not installed.
            InputError: the file is missing, damaged or of another version.
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {self.package!r}", name=self.package)
        path = Path(spec.origin).parent / self.file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{self.name}: cannot read its weights ({error}); {self.reinstall()}") from None
        if (found := hashlib.sha256(content).hexdigest()) != self.sha256:
            raise InputError(
                f"{path}: SHA-256 {found}, expected {self.sha256}: weights damaged or from another version; "
                f"{self.reinstall()}"
            )
        with torch.serialization.safe_globals(list(allowed)):
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return state

    def reinstall(self) -> str:
        """Advice, with the version that is installed."""
        return (
            f"{self.package} {metadata.version(self.package)} is installed; run "
            f"`pip install --force-reinstall --no-deps {self.package}=={self.package_version}`"
        )
