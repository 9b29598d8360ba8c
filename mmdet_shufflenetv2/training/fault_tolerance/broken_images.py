"""Images come out the same whoever loads them; those that cannot be read are left out, for all to see, up to a limit.

The workers that meet them are processes of their own, so what they met goes through a file in the folder of the run: a
line per image, which also is the list that stays when the run is over.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import DATASETS, HOOKS, TRANSFORMS
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...compat.private import is_resuming
from ...utils.errors import BrokenImageError, UserError
from ...utils.images import check_image_file
from .epoch import SeededIndex
from .randomness import seeded

__all__ = ['BrokenImagesHook', 'FaultTolerantDataset', 'LoadCompleteImage', 'report_broken']

# A data set with more broken images in a row than that is refused by the check before the run.
_TRIES = 20


@TRANSFORMS.register_module(name=['LoadCompleteImage', 'LoadWholeImage'])  # the second in configs of 0.1
class LoadCompleteImage(LoadImageFromFile):
    """``LoadImageFromFile`` that refuses truncated files, which OpenCV decodes with a grey lower part.

    Raises:
        BrokenImageError: If the file cannot be read as a whole image.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        path = results['img_path']
        local = '://' not in path and self.backend_args is None and self.file_client_args is None
        # Its size is not asked for, which takes OpenCV to tell where it is turned.
        if local and (fault := check_image_file(path, self.imdecode_backend, upright=False).fault):
            raise BrokenImageError(fault)
        try:
            return super().transform(results)
        except Exception as error:  # OpenCV's, Pillow's and the file system's have no base in common
            raise BrokenImageError(f'{path} cannot be decoded ({str(error).strip().splitlines()[-1]})') from error


@DATASETS.register_module(name=['FaultTolerantDataset', 'DurableDataset'])  # the second in configs of 0.1
class FaultTolerantDataset:
    """Wraps a data set; every attribute but these is the wrapped one's, for reading and for writing.

    An index that comes with a seed (:class:`.SeededIndex`) has its image augmented from that seed. Another image,
    likewise decided by the seed, takes the place of a broken one.

    Args:
        dataset: The data set or its config.
        broken_list: File that broken images are reported to.
    """

    _OWN = ('dataset', 'broken_list')

    def __init__(self, dataset: Any, broken_list: str) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.broken_list = broken_list

    def __getattr__(self, name: str) -> Any:
        if name in self._OWN or name.startswith('__'):  # not set yet, while a copy is being made
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Hooks that change the augmentation late in a run set the data set's pipeline.
        if name in self._OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.dataset, name, value)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if not isinstance(index, SeededIndex):
            return self.dataset[index]
        with seeded(index.seed):
            return self._load(int(index))

    def _load(self, index: int) -> Any:
        for _ in range(_TRIES):
            try:
                return self.dataset[index]
            except BrokenImageError as error:
                last = error
                report_broken(self.broken_list, str(error))
                index = int(np.random.randint(len(self)))
        raise last


def report_broken(file: str | os.PathLike, fault: str) -> None:
    """Append a line to the list. Lines of several processes do not mix: each is one write to the file's end."""
    with open(file, 'ab', buffering=0) as out:
        out.write(json.dumps(dict(fault=fault)).encode() + b'\n')


@HOOKS.register_module()
class BrokenImagesHook(Hook):
    """Names new broken images in the log; ends the run when there are too many.

    Args:
        file: The list that :func:`report_broken` writes to.
        limit: The number of broken images that a run may leave out.

    Raises:
        UserError: With the list, when the limit is passed.
    """

    priority = 'VERY_HIGH'

    def __init__(self, file: str, limit: int) -> None:
        self.file = file
        self.limit = limit
        self.read = 0  # bytes of the file
        self.faults: list[str] = []

    def before_train(self, runner: Runner) -> None:
        if not is_resuming(runner) and is_main_process() and os.path.exists(self.file):
            os.remove(self.file)
        self._look(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._look(runner)

    def after_train(self, runner: Runner) -> None:
        if self.faults:
            runner.logger.warning(f'{len(self.faults)} broken images were left out of training: {self.file}')

    def _look(self, runner: Runner) -> None:
        if not os.path.exists(self.file) or os.path.getsize(self.file) == self.read:
            return
        with open(self.file, 'rb') as file:
            file.seek(self.read)
            new = file.read()
        whole = new[:new.rfind(b'\n') + 1]
        self.read += len(whole)
        for line in whole.splitlines():
            fault = json.loads(line)['fault']
            if fault not in self.faults:  # met again in a later epoch
                self.faults.append(fault)
                runner.logger.warning(f'Broken image {len(self.faults)} of at most {self.limit}: {fault}; left out.')
        if len(self.faults) > self.limit:
            raise UserError(f'{len(self.faults)} images cannot be read, more than the {self.limit} that may be left '
                            f'out ({self.file} lists them): {"; ".join(self.faults[:20])}.\nFetch them again, or allow '
                            f'more with max_broken_images=N, and go on with `resume`.')
