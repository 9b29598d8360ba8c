"""At each evaluation, draw detections and ground truth of the same few validation images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.visualization import LocalVisBackend, MLflowVisBackend

from ..compat.private import backends_of
from ..utils.files import write_atomically
from ..utils.images import read_image
from ..visualization import class_color, draw_boxes, make_sheet

__all__ = ['SampleImagesHook']

#: Longer side of each image in pixels, and the gap between ground truth and detections.
_SIDE, _GAP = 360, 4


class SampleImagesHook(Hook):
    """Writes ``samples/epoch_N.jpg`` in the work dir: ground truth left, detections right. Also logs it to trackers.

    Args:
        count: Number of images, spread evenly over the validation data. They are always the same.
        score_thr: Lowest score that is drawn.
    """

    def __init__(self, count: int = 8, score_thr: float = 0.3) -> None:
        self.count, self.score_thr = count, score_thr
        self._objects: dict[Any, list[dict[str, Any]]] | None = None

    def before_val_epoch(self, runner: Runner) -> None:
        self._drawn: dict[Any, tuple[np.ndarray, str]] = {}
        if self._objects is None:
            dataset = runner.val_dataloader.dataset
            # The images of the first process in MMEngine's sampler.
            first_process = range(0, len(dataset), runner.world_size) if runner.rank == 0 else ()
            indices = np.linspace(0, len(first_process) - 1, min(self.count, len(first_process))).round().astype(int)
            infos = [dataset.get_data_info(first_process[index]) for index in indices]
            self._objects = {info['img_id']: info.get('instances') or [] for info in infos if 'img_id' in info}

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for sample in outputs or ():
            name = sample.get('img_id')
            if name in (self._objects or ()) and name not in self._drawn:
                self._drawn[name] = self._draw(sample, runner.val_dataloader.dataset.metainfo['classes'])

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if not self._drawn or self._objects is None:
            return
        images, captions = zip(*(self._drawn[name] for name in self._objects if name in self._drawn))
        sheet = np.ascontiguousarray(make_sheet(images, captions, columns=2, side=2 * _SIDE + _GAP))
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        step = runner.epoch if by_epoch else runner.iter
        path = Path(runner.work_dir) / 'samples' / f'{"epoch" if by_epoch else "iter"}_{step}.jpg'
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, cv2.imencode('.jpg', sheet)[1].tobytes())
        for backend in backends_of(runner.visualizer):
            if not isinstance(backend, LocalVisBackend):
                # MLflow needs a file name and ignores the step.
                name = f'samples/{path.stem}.png' if isinstance(backend, MLflowVisBackend) else 'samples'
                backend.add_image(name, np.ascontiguousarray(sheet[..., ::-1]), step=step)

    def _draw(self, sample: DetDataSample, classes: Sequence[str]) -> tuple[np.ndarray, str]:
        """Ground truth and detections side by side, and the caption."""
        image = read_image(sample.img_path)
        factor = _SIDE / max(image.shape[:2])
        image = cv2.resize(
            image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        )
        objects = [one for one in (self._objects or {})[sample.img_id] if not one.get('ignore_flag')]
        found = sample.pred_instances.cpu()
        shown = found[found.scores >= self.score_thr]
        shown = shown[shown.scores.argsort(descending=True)]
        truth, labels = [one['bbox_label'] for one in objects], shown.labels.tolist()
        sides = [
            _with_boxes(image, [one['bbox'] for one in objects], truth, [classes[label] for label in truth], factor),
            _with_boxes(
                image,
                shown.bboxes.tolist(),
                labels,
                [f'{classes[label]} {score:.2f}' for label, score in zip(labels, shown.scores.tolist())],
                factor,
            ),
        ]
        both = np.full((image.shape[0], 2 * image.shape[1] + _GAP, 3), 255, dtype=np.uint8)
        both[:, : image.shape[1]], both[:, image.shape[1] + _GAP :] = sides
        best = f', highest score {found.scores.max():.2f}' if len(found) else ''
        return both, (
            f'{Path(sample.img_path).name}: {len(truth)} boxes, {len(labels)} detections with a score of '
            f'{self.score_thr} or more{best}'
        )


def _with_boxes(
    image: np.ndarray, boxes: list[list[float]], labels: list[int], names: list[str], factor: float
) -> np.ndarray:
    scaled = np.array(boxes, dtype=float).reshape(-1, 4) * factor
    return draw_boxes(image, scaled, names, [class_color(label) for label in labels])
