"""Write ``src/symmcd/stability_model/elements.csv``: properties of the elements up to Lr, as Magpie has them.

    python tools/make_element_properties.py

The tables are those of Ward et al. (npj Comput. Mater. 2, 16028 (2016)), which matminer ships.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from symmcd.crystallography.composition import SYMBOLS
from symmcd.metrics.magpie import PROPERTIES, property_table

TABLE = Path(__file__).parent.parent / "src/symmcd/stability_model/elements.csv"
HEAVIEST = 103
COLUMNS = {  # Magpie's name → ours
    "Electronegativity": "electronegativity",
    "CovalentRadius": "covalent_radius",
    "GSvolume_pa": "volume",
    "MeltingT": "melting_temperature",
    "MendeleevNumber": "mendeleev_number",
    "Column": "group",
    "Row": "period",
    "NsValence": "s_electrons",
    "NpValence": "p_electrons",
    "NdValence": "d_electrons",
    "NfValence": "f_electrons",
    "NUnfilled": "unfilled",
}


def main() -> None:
    table = property_table()
    with TABLE.open("w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("number", "symbol", *COLUMNS.values()))
        for number in range(1, HEAVIEST + 1):
            values = [float(table[number, PROPERTIES.index(name)]) for name in COLUMNS]
            texts = ["" if math.isnan(value) else f"{value:.12g}" for value in values]
            writer.writerow((number, SYMBOLS[number - 1], *texts))
    print(f"wrote {TABLE}")


if __name__ == "__main__":
    main()
