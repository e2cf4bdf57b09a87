"""CHGNet's weights as the package chgnet ships them; two networks of one architecture."""

from __future__ import annotations

from dataclasses import dataclass

from symmcd.potentials.chgnet.entry import ELEMENTS, R2SCAN_ELEMENTS
from symmcd.potentials.weights import Weights


@dataclass(frozen=True)
class ChgnetWeights(Weights):
    """One of CHGNet's networks; cutoffs, layers and bases are those of 0.3.0."""

    elements: frozenset[int]  # that it was trained on
    own_zero: bool  # whether energies count from another zero than the Materials Project's PBE(+U)
    rock_salt: float  # eV/atom, energy of NaCl (a = 5.69 Å) by chgnet's own code with these weights


CHGNET = ChgnetWeights(
    "CHGNet 0.3.0",
    "chgnet",
    "0.4.2",
    "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "d14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1",
    ELEMENTS,
    False,
    -3.66797,
)
CHGNET_R2SCAN = ChgnetWeights(
    "CHGNet-r2SCAN",
    "chgnet",
    "0.4.2",
    "pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
    "8eba3db0f35a2788bb3ae22885ad340591e27996f213c6643af522a633b50dad",
    R2SCAN_ELEMENTS,
    True,
    -6.86601,
)
