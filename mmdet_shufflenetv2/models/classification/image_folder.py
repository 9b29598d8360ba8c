"""ImageNet, or any folder of images that lie in one folder per class."""

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

# As ``torchvision/Resize`` and so on, the names that mmpretrain gives them.
for _name, _class in list(vars(transforms).items()):
    if isinstance(_class, type) and not issubclass(_class, Enum):
        TRANSFORMS.register_module(name=f'torchvision/{_name}', module=_class)


@TRANSFORMS.register_module()
class ToBGR(nn.Module):
    """Blue, green, red from 0 to 255, the input of the authors' release."""

    def forward(self, image: Tensor) -> Tensor:
        """``(3, H, W)`` uint8 RGB -> ``(3, H, W)`` float BGR."""
        return image.flip(0).float()


@DATASETS.register_module()
class ImageFolder(datasets.ImageFolder):
    """torchvision's ``ImageFolder``: ``DATA_ROOT/SPLIT/CLASS/*.jpeg``; classes are numbered in alphabetical order.

    ImageNet's own folder names (``n01440764``, ...) so get the numbers that all published weights use.

    Args:
        data_root: Folder of the data set.
        split: Folder of the split below it, ``train`` or ``val``.
        pipeline: Configs of what happens to an image, such as ``dict(type='torchvision/CenterCrop', size=224)``.

    Raises:
        BrokenImageError: While reading, if an image is truncated or none.
    """

    def __init__(self, data_root: str, split: str, pipeline: Sequence[dict[str, Any]]) -> None:
        super().__init__(
            os.path.join(data_root, split), loader=_load,
            transform=transforms.Compose([TRANSFORMS.build(step) for step in pipeline]))

    @staticmethod
    def make_dataset(directory: str, class_to_idx: dict[str, int], *_: Any, **__: Any) -> list[tuple[str, int]]:
        """The images of each class: torchvision goes into folders that links lead to again and again, and knows fewer
        suffixes.
        """
        return [(str(path), class_to_idx[name]) for name in sorted(class_to_idx)
                for path in sorted(files_below(os.path.join(directory, name)))]

    @property
    def metainfo(self) -> dict[str, Any]:
        """What MMEngine keeps of a data set in the checkpoints."""
        return dict(classes=tuple(self.classes))

    @staticmethod
    def prepare(data_root: str, split: str, num_classes: int | None = None, **_: Any) -> None:
        """Look whether the folders are there, before a run starts; the images are looked at when they are read.

        Raises:
            UserError: If there is no folder of the split, if a class has no image, or if there are not
                ``num_classes``, the model's.
        """
        root = os.path.join(data_root, split)
        classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir()) if os.path.isdir(root) else []
        if not classes:
            raise UserError(f'There {"are no class folders in" if os.path.isdir(root) else "is no folder"} {root}. '
                            f'Expected is {os.path.join(data_root, "{train,val}", "CLASS", "*.jpeg")}.\nPut the data '
                            f'there, or name the folder that has it: data_root=DIR.')
        for name in classes:
            if not any(files_below(os.path.join(root, name))):
                raise UserError(f'{os.path.join(root, name)} has no image. Looked for {", ".join(IMAGE_SUFFIXES)}.')
        if num_classes not in (None, len(classes)):
            raise UserError(f'{root} has {len(classes)} class folders, and the config\'s model {num_classes} classes. '
                            f'For another data set than ImageNet: `cfg_options` model.num_classes={len(classes)}.')


def _load(path: str) -> Image.Image:
    try:
        return pil_loader(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenImageError(f'{path} is truncated or no image ({str(error).splitlines()[0]}).') from error
