"""ImageNet, or any dataset with one image folder per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from typing import Any

from mmdet.registry import DATASETS, TRANSFORMS
from PIL import Image
from torch import Tensor, nn
from torchvision import datasets, transforms
from torchvision.datasets.folder import pil_loader

from ...utils.errors import BrokenImageError, UserError
from ...utils.images import IMAGE_SUFFIXES, files_below

__all__ = ['ImageFolder', 'ToBGR']

# Registered as ``torchvision/Resize`` and so on, as in mmpretrain.
for _name, _class in list(vars(transforms).items()):
    if isinstance(_class, type) and not issubclass(_class, Enum):
        TRANSFORMS.register_module(name=f'torchvision/{_name}', module=_class)


@TRANSFORMS.register_module()
class ToBGR(nn.Module):
    """Convert RGB to BGR from 0 to 255, the input of the authors' release."""

    def forward(self, image: Tensor) -> Tensor:
        """``(3, H, W)`` uint8 RGB -> ``(3, H, W)`` float BGR."""
        return image.flip(0).float()


@DATASETS.register_module()
class ImageFolder(datasets.ImageFolder):
    """torchvision's ``ImageFolder``: ``DATA_ROOT/SPLIT/CLASS/*.jpeg``, with classes in alphabetical order.

    With ImageNet's own folder names (``n01440764``, ...) the class indices are those of all published weights.

    Args:
        data_root: Folder of the dataset.
        split: Subfolder of the split, ``train`` or ``val``.
        pipeline: Configs of the transforms, such as ``dict(type='torchvision/CenterCrop', size=224)``.

    Raises:
        BrokenImageError: When an image is read, if it is corrupt or not an image.
    """

    def __init__(self, data_root: str, split: str, pipeline: Sequence[dict[str, Any]]) -> None:
        super().__init__(
            os.path.join(data_root, split),
            loader=_load,
            transform=transforms.Compose([TRANSFORMS.build(step) for step in pipeline]),
        )

    @staticmethod
    def make_dataset(directory: str, class_to_idx: dict[str, int], *_: Any, **__: Any) -> list[tuple[str, int]]:
        """List path and class index of each image.

        torchvision's method follows cyclic links endlessly and supports fewer file extensions.
        """
        return [
            (str(path), class_to_idx[name])
            for name in sorted(class_to_idx)
            for path in sorted(files_below(os.path.join(directory, name)))
        ]

    @property
    def metainfo(self) -> dict[str, Any]:
        """Dataset metadata that MMEngine stores in checkpoints."""
        return dict(classes=tuple(self.classes))

    @staticmethod
    def prepare(data_root: str, split: str, num_classes: int | None = None, **_: Any) -> None:
        """Check the folders before a run starts. Images are checked when they are read.

        Raises:
            UserError: If the folder of the split does not exist, if a class has no image, or if the number of classes
                is not the model's ``num_classes``.
        """
        root = os.path.join(data_root, split)
        classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir()) if os.path.isdir(root) else []
        if not classes:
            raise UserError(
                f'{"No class folders found in" if os.path.isdir(root) else "Folder not found:"} {root}. '
                f'Expected {os.path.join(data_root, "{train,val}", "CLASS", "*.jpeg")}.\nPut the data '
                f'there, or set the folder that contains it: data_root=DIR.'
            )
        for name in classes:
            if not any(files_below(os.path.join(root, name))):
                raise UserError(f'{os.path.join(root, name)} has no images. Supported: {", ".join(IMAGE_SUFFIXES)}.')
        if num_classes not in (None, len(classes)):
            raise UserError(
                f'{root} has {len(classes)} class folders, but the model of the config has {num_classes} '
                f'classes. For other datasets than ImageNet set `cfg_options` '
                f'model.num_classes={len(classes)}.'
            )


def _load(path: str) -> Image.Image:
    try:
        return pil_loader(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenImageError(f'{path} is corrupt or not an image ({str(error).splitlines()[0]}).') from error
