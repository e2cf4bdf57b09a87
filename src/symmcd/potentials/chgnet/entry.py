"""CHGNet as an entry of the registry of potentials; light, its network is loaded on demand."""

from symmcd.extensions import PotentialEntry

VERSION = "0.3.0"
# MPtrj, its training set, has 89 elements (Deng et al. 2023): the first 94 without Po, At, Rn, Fr and Ra, whose
# embeddings were never trained although the network gives a number for them.
ELEMENTS = frozenset(range(1, 95)) - {84, 85, 86, 87, 88}

ENTRY = PotentialEntry(
    sentence="CHGNet 0.3.0 (Deng et al. 2023), trained on relaxations of the Materials Project",
    version=VERSION,
    source="package chgnet, doi:10.1038/s42256-023-00716-3; code and weights: BSD-3-Clause-LBNL",
    loader="symmcd.potentials.chgnet.potential:load",
    elements=ELEMENTS,
    corrected=True,
    elemental="symmcd.potentials.chgnet:elemental_energies.csv",
    label="CHGNet",
    optimisers={"structure_optimizer": "symmcd.potentials.chgnet.struct_optimizer:optimise"},
)
