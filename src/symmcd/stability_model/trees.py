"""Decision trees as flat arrays, and their predictions.  Numpy only, so that it runs on a bare machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from symmcd.errors import InputError

DTYPES = {  # types of `Trees`, as in a file
    "member": np.int32, "root": np.int32, "feature": np.int32, "threshold": np.float64, "missing_left": np.uint8,
    "left": np.int32, "right": np.int32, "value": np.float32,
}  # fmt: skip
DEEPEST = 64


@dataclass(frozen=True, eq=False)
class Trees:
    """T trees of M members of an ensemble; a member says the sum of its trees.

    A node is named by its row; a leaf by ``-1 - row``.  Nodes come before their children.
    """

    member: np.ndarray  # (T,) 0 … M - 1, to which each tree belongs
    root: np.ndarray  # (T,) node, or leaf
    feature: np.ndarray  # (K,) column that a node asks for
    threshold: np.ndarray  # (K,) a value of at most this goes left
    missing_left: np.ndarray  # (K,) 1 where nan goes left
    left: np.ndarray  # (K,) node, or leaf
    right: np.ndarray  # (K,)
    value: np.ndarray  # (L,) of each leaf

    @property
    def members(self) -> int:
        return int(self.member.max()) + 1

    def evaluate(self, features: np.ndarray) -> np.ndarray:
        """(M, B) predictions of each member for `features` (B, F), nan where there is no value."""
        said, missing, rows = np.zeros((self.members, len(features))), np.isnan(features), np.arange(len(features))
        for member, root in zip(self.member.tolist(), self.root.tolist(), strict=True):
            at = np.full(len(features), root)
            for _ in range(DEEPEST):
                inner = rows[at >= 0]
                if not len(inner):
                    break
                node = at[inner]
                feature = self.feature[node]
                goes_left = features[inner, feature] <= self.threshold[node]  # nan: False
                absent = missing[inner, feature]
                goes_left = np.where(absent, self.missing_left[node] == 1, goes_left)
                at[inner] = np.where(goes_left, self.left[node], self.right[node])
            said[member] += self.value[-1 - at]
        return said

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, as `of_arrays` takes them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], number_of_features: int) -> Trees:
        """Trees of arrays from a file.

        Raises:
            InputError: an array is missing or of another shape or type, or a node leads nowhere.
        """
        if set(arrays) != set(DTYPES):
            raise InputError(f"has the arrays {', '.join(sorted(arrays)) or '(none)'}, expected {', '.join(DTYPES)}")
        for name, dtype in DTYPES.items():
            if arrays[name].dtype != dtype or arrays[name].ndim != 1:
                raise InputError(f"{name}: expected one row of {np.dtype(dtype)}")
        trees = cls(**{name: arrays[name] for name in DTYPES})
        nodes, leaves = len(trees.feature), len(trees.value)
        if len(trees.root) != len(trees.member) or not len(trees.root):
            raise InputError(f"{len(trees.root)} roots of {len(trees.member)} trees")
        if any(len(arrays[name]) != nodes for name in ("threshold", "missing_left", "left", "right")):
            raise InputError("its nodes have columns of different lengths")
        if not (np.isfinite(trees.threshold).all() and np.isfinite(trees.value).all()):
            raise InputError("a threshold or a value is not finite")
        if nodes and not (trees.feature.min() >= 0 and trees.feature.max() < number_of_features):
            raise InputError(f"a node asks for a feature beyond the {number_of_features}")
        if set(np.unique(trees.member).tolist()) != set(range(trees.members)):
            raise InputError("a member without trees")
        ends = np.concatenate([trees.root, trees.left, trees.right])
        above = np.concatenate([np.full(len(trees.root), -1), np.tile(np.arange(nodes), 2)])
        if not ((ends < nodes) & (ends >= -leaves) & ((ends < 0) | (ends > above))).all():
            raise InputError("a node leads nowhere, or back")
        if _deepest(trees) > DEEPEST:
            raise InputError(f"a tree deeper than {DEEPEST}")
        return trees

    @classmethod
    def of_lightgbm(cls, models: Sequence[Mapping[str, Any]]) -> Trees:
        """Trees of LightGBM's boosters, each as its public ``dump_model()`` has it.

        Raises:
            ValueError: splits of a kind that we never ask for.
        """
        columns: dict[str, list[Any]] = {name: [] for name in DTYPES}
        for member, model in enumerate(models):
            for tree in model["tree_info"]:
                columns["member"].append(member)
                columns["root"].append(_add(tree["tree_structure"], columns))
        return cls(**{name: np.array(columns[name], dtype) for name, dtype in DTYPES.items()})


def _add(node: Mapping[str, Any], columns: dict[str, list[Any]]) -> int:
    """Append a node and all below it; its row, or that of the leaf."""
    if "leaf_value" in node:
        columns["value"].append(node["leaf_value"])
        return -len(columns["value"])
    missing = node["missing_type"]
    if node["decision_type"] != "<=" or missing not in ("None", "NaN"):
        raise ValueError(f"a split of LightGBM of another kind: {node['decision_type']=} {missing=}")
    row, threshold = len(columns["feature"]), node["threshold"]
    columns["feature"].append(node["split_feature"])
    columns["threshold"].append(threshold)
    # where no value was missing when it was fitted, LightGBM takes a missing one for 0
    columns["missing_left"].append(node["default_left"] if missing == "NaN" else threshold >= 0)
    columns["left"].append(0)
    columns["right"].append(0)
    columns["left"][row] = _add(node["left_child"], columns)
    columns["right"][row] = _add(node["right_child"], columns)
    return row


def _deepest(trees: Trees) -> int:
    """Nodes on the longest way from a root to a leaf; children come after their parents."""
    below = np.ones(len(trees.feature), int)
    for row in range(len(trees.feature) - 1, -1, -1):
        for child in (trees.left[row], trees.right[row]):
            if child >= 0:
                below[row] = max(below[row], 1 + below[child])
    return int(below.max(initial=0))
