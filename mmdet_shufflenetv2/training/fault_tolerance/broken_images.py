"""Seeded loading of images: augmentation does not depend on the worker, and up to a limit, broken images are skipped.

Data loader workers are separate processes. They append each broken image to a file in the work dir, one line per image.
The main process reads it, and it stays as a list after the run.
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

# Attempts to replace a broken image. The check before the run rejects data with more broken images.
_TRIES = 20


@TRANSFORMS.register_module(name=['LoadCompleteImage', 'LoadWholeImage'])  # the second name: configs of 0.1
class LoadCompleteImage(LoadImageFromFile):
    """``LoadImageFromFile`` that rejects truncated files, which OpenCV decodes with a gray lower part.

    Raises:
        BrokenImageError: If the file is missing, truncated or not an image.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        path = results['img_path']
        local = '://' not in path and self.backend_args is None and self.file_client_args is None
        # upright=False: only the size of rotated images would need decoding.
        if local and (fault := check_image_file(path, self.imdecode_backend, upright=False).fault):
            raise BrokenImageError(fault)
        try:
            return super().transform(results)
        except Exception as error:  # errors of OpenCV, Pillow and the file system have no common base class
            raise BrokenImageError(f'{path} cannot be decoded ({str(error).strip().splitlines()[-1]})') from error


@DATASETS.register_module(name=['FaultTolerantDataset', 'DurableDataset'])  # the second name: configs of 0.1
class FaultTolerantDataset:
    """Wraps a data set. All other attributes are read from and written to the wrapped data set.

    An index with a seed (:class:`.SeededIndex`) seeds the augmentation of its image. A broken image is replaced by
    another one, which is also chosen by the seed.

    Args:
        dataset: The data set or its config.
        broken_list: File with the list of broken images.
    """

    _OWN = ('dataset', 'broken_list')

    def __init__(self, dataset: Any, broken_list: str) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        self.broken_list = broken_list

    def __getattr__(self, name: str) -> Any:
        if name in self._OWN or name.startswith('__'):  # not set yet while copying
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Hooks that change the augmentation during a run set the pipeline of the data set.
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
        last: BrokenImageError | None = None
        for _ in range(_TRIES):
            try:
                return self.dataset[index]
            except BrokenImageError as error:
                last = error
                report_broken(self.broken_list, str(error))
                index = int(np.random.randint(len(self)))
        raise last or IndexError(index)


def report_broken(file: str | os.PathLike[str], fault: str) -> None:
    """Append a line to the list. Each line is a single write, so lines of several processes do not mix."""
    with open(file, 'ab', buffering=0) as out:
        out.write(json.dumps(dict(fault=fault)).encode() + b'\n')


@HOOKS.register_module()
class BrokenImagesHook(Hook):
    """Logs new broken images, and ends the run if there are too many.

    Args:
        file: The list of :func:`report_broken`.
        limit: How many broken images may be skipped.

    Raises:
        UserError: If the limit is exceeded.
    """

    priority = 'VERY_HIGH'

    def __init__(self, file: str, limit: int) -> None:
        self.file = file
        self.limit = limit
        self.read = 0  # number of bytes read from the file
        self.faults: list[str] = []

    def before_train(self, runner: Runner) -> None:
        if not is_resuming(runner) and is_main_process() and os.path.exists(self.file):
            os.remove(self.file)
        self._read_new(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._read_new(runner)

    def after_train(self, runner: Runner) -> None:
        if self.faults:
            runner.logger.warning(f'{len(self.faults)} broken images were skipped in training: {self.file}')

    def _read_new(self, runner: Runner) -> None:
        if not os.path.exists(self.file) or os.path.getsize(self.file) == self.read:
            return
        with open(self.file, 'rb') as file:
            file.seek(self.read)
            new = file.read()
        complete = new[: new.rfind(b'\n') + 1]
        self.read += len(complete)
        for line in complete.splitlines():
            fault = json.loads(line)['fault']
            if fault not in self.faults:  # the same image in a later epoch
                self.faults.append(fault)
                runner.logger.warning(f'Broken image {len(self.faults)} of at most {self.limit}: {fault}; skipped.')
        if len(self.faults) > self.limit:
            raise UserError(
                f'{len(self.faults)} images cannot be read, more than the allowed {self.limit} (listed in '
                f'{self.file}): {"; ".join(self.faults[:20])}.\nRestore them, or allow more with '
                f'max_broken_images=N, and continue with `resume`.'
            )
