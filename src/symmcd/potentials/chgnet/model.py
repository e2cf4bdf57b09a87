"""CHGNet's networks with the weights of its package, and the crystals that they cannot be asked about."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from typing import Any

import numpy as np
from pymatgen.core import Structure

from symmcd.potentials.chgnet.entry import ELEMENTS
from symmcd.potentials.chgnet.network import ANGLE_CUTOFF, ATOM_CUTOFF
from symmcd.potentials.chgnet.weights import CHGNET, ChgnetWeights
from symmcd.potentials.neighbour_list import check_cell
from symmcd.potentials.potential import Request, UnusableCrystalError, check_elements, check_geometry

# Forces with their graph cost about 0.1 MB an angle (measured: 62,250 angles, 6.2 GB), so this is about 3 GB.
# Dense elements have 130 to 350 angles per atom.
MAX_ANGLES = 30_000


def load_chgnet(device: str, weights: ChgnetWeights = CHGNET) -> Any:
    """CHGNet with weights that its package ships.

    The file is read without unpickling objects (`weights_only`), unlike ``CHGNet.load``, and nothing is downloaded.
    CHGNet announces itself on standard output; that, and only that, is dropped.

    Raises:
        InputError: the weights are missing, damaged or of another version.
    """
    import scipy.linalg  # noqa: F401
    import threadpoolctl
    import torch
    from chgnet.model import CHGNet

    # torch and BLAS take OMP_NUM_THREADS, which Snakemake sets to the threads of a rule.  Without it one thread:
    # crystals of some 20 atoms gain nothing from a second, and lose where the cores are busy; shards use the cores
    # better.  SciPy's own BLAS takes threads even for FIRE's 6 x 6 matrices (milliseconds in place of 0.06), and must
    # be loaded to be told.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
        threadpoolctl.threadpool_limits(1, user_api="blas")
    # Every process would start its log with this remark of torch on a line of CHGNet's, which is right as it is.
    warnings.filterwarnings("ignore", "Converting a tensor with requires_grad=True to a scalar", UserWarning)
    state = weights.read()["model"]
    with contextlib.redirect_stdout(io.StringIO()):
        model = CHGNet.from_dict(state, mlp_out_bias=False)
    model.graph_converter.set_isolated_atom_response("error")
    return model.to(device).eval()


def check_request(request: Request, elements: frozenset[int] = ELEMENTS) -> None:
    """Refuse a crystal that CHGNet would answer with nonsense, or that would fill the memory.

    Overlapping atoms pass: their energy is high and relaxation may part them.

    Raises:
        UnusableCrystalError: non-finite numbers, a flat cell, an element outside the training set, an atom without a
            neighbour within 6 Å, or so many neighbours that the graph would not fit.
    """
    check_geometry(request)
    check_elements(request.element, elements)
    check_cell(request.lattice, request.position, ATOM_CUTOFF)
    structure = Structure(request.lattice, request.element.tolist(), request.position)
    centre, _, _, distance = structure.get_neighbor_list(ATOM_CUTOFF, numerical_tol=1e-8)
    if len(np.unique(centre)) < len(structure):
        raise UnusableCrystalError("isolated_atoms")
    bonds = np.bincount(centre[distance < ANGLE_CUTOFF], minlength=len(structure))
    if (bonds * (bonds - 1)).sum() > MAX_ANGLES:
        raise UnusableCrystalError("too_many_neighbours")
