"""Points of many crystals by one call of a potential; if the call fails, for which crystals."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from symmcd.potentials.potential import Point, Potential, Request, answers


def computed(potential: Potential, requests: Sequence[Request], *, forces: bool = True) -> list[Point | Exception]:
    """Points of crystals, or in place of one the error: UnusableCrystalError, or one that nobody foresaw.

    A call that fails as a whole (memory, a defect) is repeated in halves until it is known whom it fails for: one
    broken crystal must not end a batch of thousands.

    Raises:
        torch.AcceleratorError: the device is lost, and with it every crystal after this one.
    """
    try:
        return list(answers(potential, requests, forces=forces))
    except Exception as error:
        if isinstance(error, torch.AcceleratorError):
            raise
        if len(requests) == 1:
            return [error]
    half = len(requests) // 2
    return computed(potential, requests[:half], forces=forces) + computed(potential, requests[half:], forces=forces)
