"""Shapes: a generated detection data set for demos and tests.

Circles, squares, triangles, stars and crosses of random color, size and rotation on textured backgrounds. They overlap,
and their color is independent of the class. Boxes and masks cover the visible pixels of a shape, as in COCO. The files
have COCO's layout and names, so every tool for COCO can read them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from pycocotools import mask as coco_mask

from ..utils.errors import UserError
from ..utils.files import unfinished_folder

__all__ = ['CLASSES', 'ShapesDataset', 'make_shapes']

CLASSES = ('circle', 'square', 'triangle', 'star', 'cross')

_PALETTE = [(230, 60, 60), (60, 120, 230), (60, 180, 75), (240, 170, 30), (150, 70, 200)]

#: Increased when the same arguments give different files.
_VERSION = 1
_MANIFEST = 'shapes.json'
_SPLITS = ('train2017', 'val2017')

# A shape is removed from the image if less than this fraction is visible, or if it is narrower than this many pixels.
# Human annotators would not label it either.
_MIN_VISIBLE = 0.45
_MIN_SIDE = 5


def make_shapes(
    root: str | os.PathLike[str], num_train: int = 1000, num_val: int = 100, size: int = 160, seed: int = 0
) -> Path:
    """Write the data set, unless it exists already.

    Args:
        root: Folder to create: ``annotations/instances_{train,val}2017.json``, ``train2017/``, ``val2017/``.
        num_train, num_val: Number of training and validation images. No image is in both splits.
        size: Longer side of an image in pixels, at least 64. The shorter side is 0.75 to 1 times as long.
        seed: Random seed. The same arguments give the same images.

    Raises:
        UserError: If ``root`` contains other files, or Shapes generated with other arguments.
    """
    root = Path(root)
    wanted = dict(version=_VERSION, num_train=num_train, num_val=num_val, size=size, seed=seed)
    if min(num_train, num_val) < 1 or size < 64:
        raise UserError(f'Shapes needs at least 1 image per split and an image size of at least 64, got {wanted}.')
    if root.exists() and any(root.iterdir()):
        _check_manifest(root, wanted)
        return root
    try:
        with unfinished_folder(root) as unfinished:
            for split, count in zip(_SPLITS, (num_train, num_val)):
                _write_split(unfinished, split, count, size, seed)
            (unfinished / _MANIFEST).write_text(json.dumps(wanted))
    except OSError:
        if not (root / _MANIFEST).is_file():
            raise
        _check_manifest(root, wanted)  # another process finished earlier
    return root


def _check_manifest(root: Path, wanted: dict[str, int]) -> None:
    manifest = root / _MANIFEST
    found = json.loads(manifest.read_text()) if manifest.is_file() else None
    if found != wanted:
        raise UserError(
            f'{root} contains {f"Shapes generated with {found}" if found else "other files"}, expected '
            f'{wanted}. Delete it, or choose another folder (data_root).'
        )


def _write_split(root: Path, split: str, count: int, size: int, seed: int) -> None:
    (root / split).mkdir(parents=True)
    (root / 'annotations').mkdir(exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, count + 1):
        # One generator per image: an image does not depend on the number of images or on the other split.
        image, shapes = draw_image(np.random.default_rng((seed, _SPLITS.index(split), image_id)), size)
        name = f'{image_id:012d}.jpg'
        cv2.imwrite(str(root / split / name), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        images.append(dict(id=image_id, file_name=name, height=image.shape[0], width=image.shape[1]))
        for label, mask in shapes:
            annotations.append(dict(_annotation(label, mask), id=len(annotations) + 1, image_id=image_id))
    categories = [dict(id=i, name=name, supercategory='shape') for i, name in enumerate(CLASSES, start=1)]
    info = dict(description='Shapes', version=str(_VERSION))
    (root / 'annotations' / f'instances_{split}.json').write_text(
        json.dumps(dict(info=info, images=images, annotations=annotations, categories=categories))
    )


def _annotation(label: int, mask: np.ndarray) -> dict[str, Any]:
    rle = _rle(mask)
    return dict(
        category_id=label + 1,
        bbox=list(_box(mask)),
        area=int(mask.sum()),
        iscrowd=0,
        segmentation=dict(rle, counts=rle['counts'].decode()),
    )


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width, height of the pixels that are set; zeros if there are none."""
    x, y, width, height = map(int, coco_mask.toBbox(_rle(mask)))
    return x, y, width, height


def _rle(mask: np.ndarray) -> dict[str, Any]:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def draw_image(rng: np.random.Generator, size: int) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Draw an image whose longer side has ``size`` pixels.

    Returns:
        The image, ``(H, W, 3)`` uint8 in BGR order, and a ``(label, mask)`` pair per visible shape. Masks are
        ``(H, W)``, boolean, of the visible pixels.
    """
    long, short = size, int(size * rng.uniform(0.75, 1))
    height, width = (long, short) if rng.random() < 0.5 else (short, long)
    labels = rng.integers(len(CLASSES), size=rng.integers(2, 9))
    masks = [_shape_mask(rng, CLASSES[label], height, width) for label in labels]
    # The last shape is on top. A shape that is mostly hidden is removed, and the ones below it become visible.
    shown: list[tuple[int, np.ndarray, np.ndarray]] = []
    covered = np.zeros((height, width), bool)
    for label, mask in zip(labels[::-1], masks[::-1]):
        visible = mask & ~covered
        if visible.sum() >= _MIN_VISIBLE * mask.sum() and min(_box(visible)[2:]) >= _MIN_SIDE:
            shown.append((int(label), mask, visible))
            covered |= mask
    image = _background(rng, height, width)
    for _, mask, _ in shown[::-1]:
        hsv = [rng.integers(180), rng.integers(140, 256), rng.integers(110, 256)]
        color = cv2.cvtColor(np.array([[hsv]], np.uint8), cv2.COLOR_HSV2BGR)[0, 0]
        shading = rng.normal(0, 8, (height, width, 1)) + _gradient(rng, height, width)[..., None] * 30
        image[mask] = np.clip(color + shading, 0, 255).astype(np.uint8)[mask]
    return cv2.GaussianBlur(image, (3, 3), 0.6), [(label, visible) for label, _, visible in shown]


def _shape_mask(rng: np.random.Generator, name: str, height: int, width: int) -> np.ndarray:
    radius = min(height, width) * np.exp(rng.uniform(np.log(0.09), np.log(0.3)))
    inset = 0.4 * radius  # the image border cuts off at most about a third
    center = rng.uniform((inset, inset), (width - inset, height - inset))
    outline = _outline(name, rng.uniform(0, 2 * np.pi)) * radius + center
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [np.round(outline).astype(np.int32)], 1)
    return canvas.astype(bool)


def _outline(name: str, rotation: float) -> np.ndarray:
    """``(P, 2)`` corners around the origin. The outermost have distance 1."""
    corners = dict(circle=48, square=4, triangle=3, star=10, cross=12)[name]
    angles = np.arange(corners) * 2 * np.pi / corners
    radii = np.ones(corners)
    if name == 'star':
        radii[1::2] = 0.42
    if name == 'cross':
        # Arms a third as wide as the cross: two outer corners and one inner corner, four times.
        arm = np.arctan2(1, 3)
        angles = np.concatenate([[q - arm, q + arm, q + np.pi / 4] for q in np.arange(4) * np.pi / 2])
        radii = np.tile([1, 1, np.sqrt(0.2)], 4)
    return radii[:, None] * np.stack((np.cos(angles + rotation), np.sin(angles + rotation)), axis=1)


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """``(H, W)`` gradient in a random direction, from -1 to 1."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """``(H, W, 3)`` uint8: a muted color with blotches, stripes, a gradient and noise."""
    base = rng.uniform(60, 190) + rng.normal(0, 12, 3)
    cells = rng.integers(3, 12)
    blotches = cv2.resize(rng.normal(0, 15, (cells, cells, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    stripes = np.sin(_gradient(rng, height, width) * rng.uniform(5, 40)) * rng.uniform(0, 14)
    slope = _gradient(rng, height, width) * rng.uniform(0, 35)
    grain = rng.normal(0, 6, (height, width, 3))
    return np.clip(base + blotches + (stripes + slope)[..., None] + grain, 0, 255).astype(np.uint8)


@DATASETS.register_module()
class ShapesDataset(CocoDataset):
    """Shapes as an MMDetection data set. It is generated in ``data_root`` on first use.

    ``shapes`` are arguments of :func:`make_shapes` except the folder. All others are those of ``CocoDataset``.
    """

    METAINFO: ClassVar[dict[str, Any]] = dict(classes=CLASSES, palette=_PALETTE)

    def __init__(self, *args: Any, shapes: dict[str, int] | None = None, **kwargs: Any) -> None:
        self._shapes = shapes or {}
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Load images and boxes; generate them first if they are missing."""
        make_shapes(self.data_root, **self._shapes)
        return super().load_data_list()

    @staticmethod
    def prepare(data_root: str, shapes: dict[str, int] | None = None, **_: Any) -> None:
        """Generate the files. Called before the data set is built."""
        make_shapes(data_root, **(shapes or {}))
