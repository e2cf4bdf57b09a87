"""SevenNet-0 and SevenNet-l3i5 as entries of the registry of potentials; light, their networks are loaded on demand."""

from symmcd.extensions import PotentialEntry

# MPtrj, their training set, has 89 elements: the first 94 without Po, At, Rn, Fr and Ra.
ELEMENTS = frozenset(range(1, 95)) - {84, 85, 86, 87, 88}
SOURCE = "package sevenn 0.13, doi:10.1021/acs.jctc.4c00190; code and weights: MIT"

SEVENNET_0 = PotentialEntry(
    sentence="SevenNet-0 of July 2024 (Park et al. 2024), trained on relaxations of the Materials Project",
    version="11Jul2024",
    source=SOURCE,
    loader="symmcd.potentials.sevennet.potential:load_0",
    elements=ELEMENTS,
    corrected=False,
    correctable=True,
    elemental="symmcd.potentials.sevennet:elemental_energies_0.csv",
    label="SevenNet-0",
    extra="judge",
    package="sevenn",
)
SEVENNET_L3I5 = PotentialEntry(
    sentence="SevenNet-l3i5 (Park et al. 2024), trained on relaxations of the Materials Project",
    version="l3i5",
    source=SOURCE,
    loader="symmcd.potentials.sevennet.potential:load_l3i5",
    elements=ELEMENTS,
    corrected=False,
    correctable=True,
    elemental="symmcd.potentials.sevennet:elemental_energies_l3i5.csv",
    label="SevenNet-l3i5",
    extra="judge",
    package="sevenn",
)
