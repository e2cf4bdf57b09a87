"""Record of a choice before there was a geometry: each crystal is the best of several drafts by a stability model."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from symmcd.errors import InputError

LONGEST = 200  # characters of a name


@dataclass(frozen=True)
class BestOf:
    """The best of so many drafts per crystal, and who said which are best.

    Raises:
        InputError: fewer than two drafts, which leave nothing to choose, or names that are no line of text.
    """

    drafts: int  # a crystal, 2 at least
    stability_model: str = ""  # SHA-256 of its file, in hexadecimal; empty: it was in no file
    judge: str = ""  # potential whose energies it was fitted to, by its name in the registry; empty: unknown
    hull: str = ""  # that these energies are above; empty: unknown

    def __post_init__(self) -> None:
        if isinstance(self.drafts, bool) or not isinstance(self.drafts, int) or self.drafts < 2:
            raise InputError(f"best of {str(self.drafts)[:40]} drafts per crystal: expected a whole number from 2 on")
        for name in ("stability_model", "judge", "hull"):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
                raise InputError(f"{name} of the choice is {str(value)[:40]!r}, expected a line of text")

    def text(self) -> str:
        """JSON, which `read` reads."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, text: str) -> BestOf:
        """Read what `text` wrote; fields of later versions are ignored.

        Raises:
            InputError: something else.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or "drafts" not in values:
            raise InputError(f"{text[:60]!r} does not describe how crystals were chosen")
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in names})
