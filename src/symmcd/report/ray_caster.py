"""Spheres and cylinders as a shaded image: orthographic, one depth buffer, numpy only.

Each pixel keeps the nearest surface, so that atoms, bonds and cell edges cut each other as they do in space; sorting
whole atoms by depth cannot do that.  Coordinates are x to the right, y up, z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIGHT = np.array([-0.42, 0.55, 0.72]) / np.linalg.norm([-0.42, 0.55, 0.72])
AMBIENT, DIFFUSE, SPECULAR, SHININESS = 0.46, 0.60, 0.38, 38.0
FOG = 0.30  # how far the farthest surface fades into FOG_COLOUR
FOG_COLOUR = np.array([0.70, 0.72, 0.75])
SUPERSAMPLE = 2


@dataclass(frozen=True, eq=False)
class Sphere:
    centre: np.ndarray  # (3,)
    radius: float
    colour: tuple[float, float, float]  # 0..1


@dataclass(frozen=True, eq=False)
class Cylinder:
    """Open at both ends."""

    start: np.ndarray  # (3,)
    end: np.ndarray  # (3,)
    radius: float
    colour: tuple[float, float, float]


class _Canvas:
    """Depth, normal and colour of the nearest surface of each pixel."""

    def __init__(self, shape: tuple[int, int], scale: float, centre: np.ndarray) -> None:
        self.scale = scale  # pixels per unit of length
        self.origin = np.array([shape[1] / 2 - scale * centre[0], shape[0] / 2 + scale * centre[1]])
        self.depth = np.full(shape, -np.inf)
        self.normal = np.zeros((*shape, 3))
        self.colour = np.zeros((*shape, 3))

    def window(self, low: np.ndarray, high: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
        """Pixels that cover low..high in x and y, with the coordinates of their middles; None outside the canvas."""
        height, width = self.depth.shape
        left, right = (self.origin[0] + self.scale * np.array([low[0], high[0]])).astype(int) + np.array([0, 1])
        top, bottom = (self.origin[1] - self.scale * np.array([high[1], low[1]])).astype(int) + np.array([0, 1])
        rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        x = (np.arange(columns.start, columns.stop) + 0.5 - self.origin[0]) / self.scale
        y = (self.origin[1] - np.arange(rows.start, rows.stop) - 0.5) / self.scale
        return (rows, columns), x[None, :], y[:, None]

    def put(self, window: tuple[slice, slice], depth: np.ndarray, normal: np.ndarray, colour: Sequence[float]) -> None:
        """Keep the points that are nearer than the current ones; depth is -inf off the surface."""
        nearer = depth > self.depth[window]
        self.depth[window][nearer] = depth[nearer]
        self.normal[window][nearer] = normal[nearer]
        self.colour[window][nearer] = colour

    def sphere(self, sphere: Sphere) -> None:
        seen = self.window(sphere.centre - sphere.radius, sphere.centre + sphere.radius)
        if seen is None:
            return
        window, x, y = seen
        x, y = np.broadcast_arrays(x - sphere.centre[0], y - sphere.centre[1])
        height = sphere.radius**2 - x**2 - y**2
        z = np.sqrt(np.maximum(height, 0))
        self.put(
            window,
            np.where(height > 0, sphere.centre[2] + z, -np.inf),
            np.stack([x, y, z], 2) / sphere.radius,
            sphere.colour,
        )

    def cylinder(self, cylinder: Cylinder) -> None:
        axis = cylinder.end - cylinder.start
        length = float(np.linalg.norm(axis))
        if length < 1e-9:
            return
        axis = axis / length
        across = 1 - axis[2] ** 2
        ends = np.stack([cylinder.start, cylinder.end])
        seen = self.window(ends.min(axis=0) - cylinder.radius, ends.max(axis=0) + cylinder.radius)
        if seen is None or across < 1e-6:  # seen end-on there is nothing but a hole
            return
        window, x, y = seen
        x, y = np.broadcast_arrays(x - cylinder.start[0], y - cylinder.start[1])
        # the point (x, y, t) is `radius` away from the axis: a quadratic equation for t
        along = x * axis[0] + y * axis[1]
        root = (along * axis[2]) ** 2 - across * (x**2 + y**2 - along**2 - cylinder.radius**2)
        t = (along * axis[2] + np.sqrt(np.maximum(root, 0))) / across
        s = along + t * axis[2]
        inside = (root > 0) & (s >= 0) & (s <= length)
        normal = (np.stack([x, y, t], 2) - s[:, :, None] * axis) / cylinder.radius
        self.put(window, np.where(inside, cylinder.start[2] + t, -np.inf), normal, cylinder.colour)

    def shaded(self) -> np.ndarray:
        """(H, W, 4) colours with straight alpha, 0..1."""
        seen = np.isfinite(self.depth)
        if not seen.any():
            return np.zeros((*self.depth.shape, 4))
        depth, normal = self.depth[seen], self.normal[seen]
        half = LIGHT + np.array([0, 0, 1])
        half /= np.linalg.norm(half)
        light = AMBIENT + DIFFUSE * np.maximum(normal @ LIGHT, 0)
        light *= 0.62 + 0.38 * np.clip(normal[:, 2] / 0.45, 0, 1)  # darker rims part atoms of one colour
        shine = SPECULAR * np.maximum(normal @ half, 0) ** SHININESS
        colour = self.colour[seen] * light[:, None] + shine[:, None]
        near, far = depth.max(), depth.min()
        fog = FOG * ((near - depth) / max(near - far, 1e-9))[:, None]
        image = np.zeros((*self.depth.shape, 4))
        image[seen] = np.column_stack([np.clip(colour * (1 - fog) + FOG_COLOUR * fog, 0, 1), np.ones(len(depth))])
        return image


def paint(spheres: Sequence[Sphere], cylinders: Sequence[Cylinder], width: int, height: int) -> np.ndarray:
    """Image of the scene, fitted into the frame.

    Returns:
        (height, width, 4) uint8, RGBA with straight alpha and a transparent background.
    """
    low = np.array(
        [s.centre - s.radius for s in spheres] + [np.minimum(c.start, c.end) - c.radius for c in cylinders]
    ).min(axis=0)
    high = np.array(
        [s.centre + s.radius for s in spheres] + [np.maximum(c.start, c.end) + c.radius for c in cylinders]
    ).max(axis=0)
    extent = high - low
    scale = SUPERSAMPLE * 0.97 * min(width / extent[0], height / extent[1])
    canvas = _Canvas((height * SUPERSAMPLE, width * SUPERSAMPLE), scale, (low + high) / 2)
    for sphere in spheres:
        canvas.sphere(sphere)
    for cylinder in cylinders:
        canvas.cylinder(cylinder)
    image = canvas.shaded().reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, 4)
    alpha = image[..., 3].mean(axis=(1, 3))
    colour = (image[..., :3] * image[..., 3:]).mean(axis=(1, 3)) / np.maximum(alpha, 1e-9)[:, :, None]
    return np.round(255 * np.dstack([colour, alpha])).astype(np.uint8)
