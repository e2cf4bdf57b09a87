"""The data sources that come with symmcd (`symmcd.extensions.SOURCES`); what reads them is imported when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from symmcd.extensions import Source

if TYPE_CHECKING:
    from symmcd.structures.data_files import Downloads
    from symmcd.structures.sources import Raw


def _mp20(downloads: Downloads) -> Raw:
    from symmcd.structures.data_files import data_files
    from symmcd.structures.sources import tables

    return tables({name: downloads.get(file) for name, file in data_files("mp20").items()})


def _prototypes(downloads: Downloads) -> Raw:  # noqa: ARG001  (pymatgen ships them)
    from symmcd.structures.sources import prototypes

    return prototypes()


MP20 = Source(
    "MP-20: 44,436 crystals of the Materials Project of at most 20 atoms in the primitive cell, in three splits",
    "CC BY 4.0",
    "https://github.com/txie-93/cdvae/tree/main/data/mp_20",
    _mp20,
)
PROTOTYPES = Source(
    "real compounds that stand for AFLOW's prototypes, as pymatgen ships them; needs no network",
    "MIT",
    "Mehl et al. (2017), doi:10.1016/j.commatsci.2017.01.017",
    _prototypes,
)
