"""SevenNet as a potential: energies, forces and stresses of many crystals in one call with one backward pass."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from symmcd.errors import InputError
from symmcd.potentials.neighbour_list import check_cell, half_list
from symmcd.potentials.potential import Point, Potential, Request, UnusableCrystalError, calls, check_elements
from symmcd.potentials.sevennet.entry import ELEMENTS
from symmcd.potentials.sevennet.weights import SEVENNET_0, SEVENNET_L3I5, network
from symmcd.potentials.weights import Weights

CUTOFF = 5.0  # Å, of both networks
LONELY = 6.0  # Å; an atom without a neighbour so near is in no crystal (caesium's are 5.3 Å apart)
OUTSIDE = ("edge_preprocess", "reduce_total_enegy", "force_output")  # modules of sevenn whose work is done here
# Directed pairs in one call, a bound of its memory: with forces 0.14 (SevenNet-0) or 0.30 MB (l3i5) a pair, measured on
# MgO with 54 atoms; energies alone take 0.02 or 0.09.  An atom of a crystal has 20 to 90 of them.
MAX_PAIRS = {"cpu": 6_000, "cuda": 60_000}
MAX_PAIRS_OF_CRYSTAL = 15_000
BATCH_SIZE = {"cpu": 8, "cuda": 128}  # crystals in progress

NACL = -2.1096  # eV/atom, formation energy of rock salt in the Materials Project (mp-22862)
SODIUM, CHLORINE = -38.35323351 / 29, -7.39414664 / 4  # eV/atom, its elements there
CHLORIDE = -0.614  # eV per atom of chlorine, its correction (MP2020)
NACL_ERROR = 0.05  # eV/atom; both networks are off by 5e-3


def load_0(device: str) -> Potential:
    """SevenNet-0 on a device, ``cpu`` or ``cuda``.

    Raises:
        InputError: its weights are damaged or of another version.
    """
    return _load(SEVENNET_0, device)


def load_l3i5(device: str) -> Potential:
    """SevenNet-l3i5 on a device, ``cpu`` or ``cuda``.

    Raises:
        InputError: its weights are damaged or of another version.
    """
    return _load(SEVENNET_L3I5, device)


def _load(weights: Weights, device: str) -> Potential:
    if "OMP_NUM_THREADS" not in os.environ:  # as for CHGNet: shards use the cores better than threads do
        torch.set_num_threads(1)
    potential = SevennetPotential(network(weights), device)
    check_rock_salt(potential, weights.name)
    return potential


def check_rock_salt(potential: Potential, name: str) -> None:
    """Refuse a potential whose rock salt is not that of the Materials Project.

    Raises:
        InputError: its formation energy, corrected by MP2020, is off by more than 50 meV/atom.
    """
    lattice = 5.69 / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
    (point,) = potential.evaluate(
        [Request(lattice, np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.array([11, 17]))], forces=False
    )
    energy = point.energy + (CHLORIDE - SODIUM - CHLORINE) / 2 if isinstance(point, Point) else np.nan
    if not abs(energy - NACL) < NACL_ERROR:
        raise InputError(
            f"{name}: rock salt has the formation energy {energy:.3f} eV/atom, expected {NACL:.3f}: weights "
            "damaged or from another version; run `pip install --force-reinstall --no-deps sevenn==0.13.0`"
        )


@dataclass(frozen=True)
class _Pairs:
    """Neighbours within the cutoff, each pair in both directions: atom `first` sees atom `second` in `image`."""

    first: np.ndarray  # (p,)
    second: np.ndarray  # (p,)
    image: np.ndarray  # (p, 3)


class SevennetPotential(Potential):
    """SevenNet for batches; the symmetry of a request is not used.

    Args:
        model: what `weights.network` returned.
        device: cpu or cuda.
    """

    elements = ELEMENTS

    def __init__(self, model: torch.nn.Module, device: str) -> None:
        self.device = torch.device(device)
        self.modules = [m.to(self.device) for name, m in model.named_children() if name not in OUTSIDE]
        number = model.z_to_onehot_tensor
        assert isinstance(number, torch.Tensor)
        self.number = number.to(self.device)  # (120,) of an element in the network
        self.batch_size = BATCH_SIZE[self.device.type]
        self.batch_cost = MAX_PAIRS[self.device.type]

    def cost(self, request: Request) -> int:
        """Directed pairs of atoms within the cutoff.

        Raises:
            UnusableCrystalError: it has no neighbour list.
        """
        return len(_pairs(request).first)

    def evaluate(self, requests: Sequence[Request], *, forces: bool = True) -> list[Point | UnusableCrystalError]:
        """One answer for each request: its point, or the reason for its failure.  No failure stops the others."""
        results: dict[int, Point | UnusableCrystalError] = {}
        tasks: list[tuple[int, Request, _Pairs]] = []
        for index, request in enumerate(requests):
            try:
                check_elements(request.element, self.elements)
                tasks.append((index, request, _pairs(request)))
            except UnusableCrystalError as reason:
                results[index] = reason
        for group in calls(tasks, lambda task: len(task[2].first), self.batch_cost):
            results.update(self._evaluate(group, forces=forces))
        return [results[index] for index in range(len(requests))]

    def _evaluate(
        self, tasks: list[tuple[int, Request, _Pairs]], *, forces: bool
    ) -> Iterator[tuple[int, Point | UnusableCrystalError]]:
        """Answers of crystals that are computed in one call, each with its number."""
        atoms = np.array([len(request.element) for _, request, _ in tasks])
        start = np.concatenate([[0], np.cumsum(atoms)])
        pairs = [pair for _, _, pair in tasks]
        first, second = (
            np.concatenate([getattr(p, n) + s for p, s in zip(pairs, start, strict=False)]) for n in ("first", "second")
        )
        vectors = [_vectors(request, pair) for _, request, pair in tasks]
        vector = np.concatenate(vectors)
        element = np.concatenate([request.element for _, request, _ in tasks])
        site, slope = self._energies(element, first, second, vector, forces=forces)
        lengths = np.cumsum([len(v) for v in vectors])
        for place, (index, request, pair) in enumerate(tasks):
            mine = slice(start[place], start[place + 1])
            energy = float(site[mine].sum()) / int(atoms[place])
            if slope is None:
                yield index, _answer(Point(energy))
                continue
            part = slice(lengths[place] - len(vectors[place]), lengths[place])
            yield index, _answer(_point(request, energy, pair, vectors[place], slope[part]))

    def _energies(
        self, element: np.ndarray, first: np.ndarray, second: np.ndarray, vector: np.ndarray, *, forces: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Energy (n,) of each atom in eV, and its derivatives (p, 3) by the vectors of pairs, summed over atoms."""
        leaf = torch.as_tensor(vector, dtype=torch.float32).to(self.device).requires_grad_(forces)
        data = {
            "x": self.number[torch.as_tensor(element).to(self.device)],
            "edge_index": torch.as_tensor(np.stack([first, second])).to(self.device),
            "edge_vec": leaf,
        }
        with torch.set_grad_enabled(forces):
            for module in self.modules:
                data = module(data)
            site = data["atomic_energy"][:, 0]
            slope = None
            if forces and len(vector):
                slope = torch.autograd.grad(site.sum(), leaf)[0].cpu().numpy().astype(float)
            elif forces:
                slope = np.zeros((0, 3))
        return site.detach().cpu().numpy().astype(float), slope


def _pairs(request: Request) -> _Pairs:
    """Neighbours of a crystal.

    Raises:
        UnusableCrystalError: not_finite, flat_cell, too_many_neighbours or isolated_atoms.
    """
    check_cell(request.lattice, request.position, LONELY)
    first, second, image = half_list(request.lattice, request.position, CUTOFF)
    if 2 * len(first) > MAX_PAIRS_OF_CRYSTAL:
        raise UnusableCrystalError("too_many_neighbours")
    if len(np.union1d(first, second)) < len(request.element):
        near = half_list(request.lattice, request.position, LONELY)
        if len(np.union1d(near[0], near[1])) < len(request.element):
            raise UnusableCrystalError("isolated_atoms")
    return _Pairs(np.concatenate([first, second]), np.concatenate([second, first]), np.concatenate([image, -image]))


def _vectors(request: Request, pairs: _Pairs) -> np.ndarray:
    """(p, 3) from the first atom of each pair to the second, in Å."""
    step: np.ndarray = request.position[pairs.second] + pairs.image - request.position[pairs.first]
    return step @ request.lattice


def _point(request: Request, energy: float, pairs: _Pairs, vector: np.ndarray, slope: np.ndarray) -> Point:
    """Forces and virial of derivatives (p, 3) by the vectors of pairs."""
    forces = np.zeros((len(request.element), 3))
    np.add.at(forces, pairs.first, slope)
    np.subtract.at(forces, pairs.second, slope)
    virial = vector.T @ slope
    return Point(energy, forces, (virial + virial.T) / 2)  # rounding alone makes it unsymmetric


def _answer(point: Point) -> Point | UnusableCrystalError:
    numbers = (np.array(point.energy), point.forces, point.virial)
    return point if all(np.isfinite(n).all() for n in numbers) else UnusableCrystalError("nan_forces")
