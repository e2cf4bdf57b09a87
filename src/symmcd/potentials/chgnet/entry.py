"""CHGNet's two networks as entries of the registry of potentials; light, they are loaded on demand."""

from symmcd.extensions import PotentialEntry

VERSION = "0.3.0"
# MPtrj, its training set, has 89 elements (Deng et al. 2023): the first 94 without Po, At, Rn, Fr and Ra, whose
# embeddings were never trained although the network gives a number for them.
ELEMENTS = frozenset(range(1, 95)) - {84, 85, 86, 87, 88}
# MP-r2SCAN, which the other network was trained on from there, has one less, ytterbium.  Neither the package nor its
# README lists them; the file of weights tells: the embeddings of Yb, Po, At, Rn, Fr and Ra are those of 0.3.0 to the
# last bit and their reference energies 0, those of no other element are (a test looks).
R2SCAN_ELEMENTS = ELEMENTS - {70}

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
# r2SCAN is another functional: MP2020 corrections are for PBE(+U), and no hull of DFT energies here is on its scale.
R2SCAN = PotentialEntry(
    sentence="CHGNet for r2SCAN (Huang et al. 2025): CHGNet 0.3.0 trained on with the Materials Project's MP-r2SCAN",
    version="2025-09-21",
    source="package chgnet 0.4.2, doi:10.1038/s41524-025-01796-y; code and weights: BSD-3-Clause-LBNL",
    loader="symmcd.potentials.chgnet.potential:load_r2scan",
    elements=R2SCAN_ELEMENTS,
    corrected=False,
    elemental="symmcd.potentials.chgnet:elemental_energies_r2scan.csv",
    label="CHGNet-r2SCAN",
    optimisers={"structure_optimizer": "symmcd.potentials.chgnet.struct_optimizer:optimise"},
)
