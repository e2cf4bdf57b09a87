"""Judges that cost nothing."""

from __future__ import annotations

import dataclasses

from symmcd.potentials.potential import Point
from tests.potentials.toy import ENTRY, Morse


class Higher(Morse):
    """Another judge, which finds everything 0.01 eV/atom less stable."""

    def evaluate(self, requests, *, forces=True):
        answers = super().evaluate(requests, forces=forces)
        return [
            dataclasses.replace(answer, energy=answer.energy + 0.01) if isinstance(answer, Point) else answer
            for answer in answers
        ]


TOYS = {
    "morse": dataclasses.replace(ENTRY, corrected=True),
    "higher": dataclasses.replace(ENTRY, corrected=True, loader=lambda _: Higher()),
}
