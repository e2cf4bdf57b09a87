"""Weights in packages: those known are read, others refused, and nothing that stands in a file is run."""

import dataclasses
import hashlib
import pickle

import pytest
import torch

from symmcd.errors import InputError
from symmcd.extensions import POTENTIALS
from symmcd.potentials.chgnet.weights import CHGNET, CHGNET_R2SCAN
from symmcd.potentials.sevennet.weights import SEVENNET_0, SEVENNET_L3I5
from symmcd.potentials.weights import Weights

PLACES = {  # entry -> where its weights are named
    "chgnet": ("symmcd.potentials.chgnet.potential.CHGNET", CHGNET),
    "chgnet-r2scan": ("symmcd.potentials.chgnet.potential.CHGNET_R2SCAN", CHGNET_R2SCAN),
    "sevennet-0": ("symmcd.potentials.sevennet.potential.SEVENNET_0", SEVENNET_0),
    "sevennet-l3i5": ("symmcd.potentials.sevennet.potential.SEVENNET_L3I5", SEVENNET_L3I5),
}


@pytest.mark.parametrize("name", PLACES)
def test_weights_of_another_version_are_refused(name, tmp_path, monkeypatch):
    place, weights = PLACES[name]
    pytest.importorskip(weights.package, reason=f"of the extra `{POTENTIALS[name].extra}`")
    path = tmp_path / "weights"
    monkeypatch.setattr(place, dataclasses.replace(weights, file=str(path)))
    with pytest.raises(
        InputError, match=f"{weights.name}: cannot read its weights .*; {weights.package} .* is installed"
    ):
        POTENTIALS[name].load("cpu")
    path.write_bytes(b"of another version")
    with pytest.raises(
        InputError, match=f"damaged or from another version; .*{weights.package}=={weights.package_version}"
    ):
        POTENTIALS[name].load("cpu")


def of_file(path):
    return Weights("A network", "torch", "1", str(path), hashlib.sha256(path.read_bytes()).hexdigest())


class Trap:
    """Unpickled it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_in_a_file_is_run_even_where_the_digest_is_right(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "good.pt")
    assert of_file(tmp_path / "good.pt").read()["weight"].tolist() == [1, 1]
    torch.save({"weight": Trap(tmp_path / "made")}, tmp_path / "bad.pt")
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        of_file(tmp_path / "bad.pt").read()
    assert not (tmp_path / "made").exists()


def test_a_package_that_is_missing_is_named():
    with pytest.raises(ModuleNotFoundError) as error:
        Weights("A network", "no_such_package", "1", "weights.pt", "").read()
    assert error.value.name == "no_such_package"
