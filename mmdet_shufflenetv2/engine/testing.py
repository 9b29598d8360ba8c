"""Evaluating a checkpoint, from a config to COCO metrics or a classifier's accuracy."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmengine.config import Config, ConfigDict
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..deploy.shuffle_free import shuffle_free_detector
from ..durable.storage import write_json
from ..errors import UserError
from ..own_data.run import follow_run
from .config import (
    is_detector,
    load_checkpoint_config,
    load_config,
    metrics_of,
    prepare_data,
    require_detector,
    require_entries,
    set_data_root,
    show_class_wise,
)
from .evaluation_data import EvaluationData, evaluation_data, write_note
from .folders import make_folder
from .pipelines import base_dataset
from .tool import registry_errors
from .training import build_runner
from .visualizer import BoxVisualizer
from .weights import wrong_weights

__all__ = ['evaluate']

# Where X11 and Wayland say that there is one.
_DISPLAYS = ('DISPLAY', 'WAYLAND_DISPLAY')


def evaluate(config: str | os.PathLike | None, checkpoint: str | os.PathLike, *, work_dir: str | None = None,
             data_root: str | None = None, data: str | None = None, out: str | None = None, show: bool = False,
             show_dir: str | None = None, wait_time: float = 2, tta: bool = False, shuffle_free: bool = False,
             cfg_options: dict[str, Any] | None = None, launcher: str = 'none') -> dict[str, float]:
    """Evaluate as ``tools/test.py`` does.

    Args:
        config: Config file; None takes the one inside the checkpoint.
        checkpoint: Weights of that config's model, a file or an address such as
            ``torchvision://shufflenet_v2_x1_0.imagenet1k_v1``; all of them must be in it.
        work_dir: Where ``metrics.json`` and the log go; by default ``work_dirs/NAME_OF_CONFIG``.
        data_root: Folder that takes the place of the config's data root.
        data: Folder of a data set of the user's own, see :mod:`..own_data`; by default that of the checkpoint's run.
        out: Where to write the detections: ``.json`` for COCO's result format, ``.pkl`` for MMDetection's.
        show: Open one window per image.
        show_dir: Folder below the log for pictures with ground truth (left) and detections (right).
        wait_time: Seconds a window stays.
        tta: Average over each image and its mirror image.
        shuffle_free: Evaluate with the backbone in its shuffle-free form, see :mod:`..deploy`.
        cfg_options: Config entries to override.
        launcher: How the processes of a distributed run were started.

    Returns:
        The metrics: ``coco/bbox_mAP`` and so on, or ``accuracy/top1`` and ``accuracy/top5`` in percent.

    Raises:
        UserError: If the config, the data or the checkpoint is invalid.
    """
    cfg = (load_checkpoint_config(checkpoint, cfg_options, work_dir, launcher) if config is None else
           load_config(config, cfg_options, work_dir, launcher))
    require_entries(cfg, 'test_cfg', 'test_dataloader', 'test_evaluator')
    set_data_root(cfg, data_root, data)
    show_class_wise(cfg)
    if out or show or show_dir or tta:
        require_detector(cfg, '--out, --show, --show-dir and --tta are about boxes')
    suffix = Path(out).suffix if out else ''
    if out and (suffix not in ('.json', '.pkl', '.pickle') or os.path.isdir(out)):
        raise UserError(f'--out {out}: expected a name of a file that ends in .json (COCO results) or .pkl '
                        f'(MMDetection\'s).')
    if show and sys.platform.startswith('linux') and not any(map(os.environ.get, _DISPLAYS)):
        raise UserError('--show needs a display to open windows on, and there is none here. Write pictures instead: '
                        '--show-dir DIR')
    follow_run(cfg, str(checkpoint), data, look_for_data=data_root is None)
    cfg.load_from = None  # _LoadEveryWeight loads
    if show or show_dir:
        cfg = trigger_visualization_hook(cfg, Namespace(show=show, show_dir=show_dir, wait_time=wait_time))
        if cfg.get('visualizer', {}).get('type') == 'DetLocalVisualizer':  # not one of the user's own
            cfg.visualizer.type = BoxVisualizer.__name__
    if tta:
        _augment(cfg)
    if suffix == '.json':
        _coco_metrics(cfg)[0].outfile_prefix = os.path.splitext(out)[0]
    tested = evaluation_data(cfg) if is_detector(cfg) else None
    scored = _is_scored(cfg, tested, out)
    if _is_first_process():
        if tested:
            print(f'evaluating on {tested}')
        if not scored:
            print('no metrics are computed: detections are written only')
    prepare_data(cfg, 'test', say=data is None, annotated=tested is None or tested.annotations > 0)
    make_folder(cfg.work_dir, '--work-dir')
    if out:
        make_folder(Path(out).parent, '--out')
    runner = build_runner(cfg)
    if suffix in ('.pkl', '.pickle') and scored:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=out))
    runner.register_hook(_LoadEveryWeight(str(checkpoint), shuffle_free), priority='LOWEST')
    with registry_errors():
        metrics = runner.test()
    if runner.rank == 0:
        if suffix == '.json':
            os.replace(f'{os.path.splitext(out)[0]}.bbox.json', out)
            if tested:
                write_note(out, tested, checkpoint=str(checkpoint), metrics=metrics)
        if scored:
            write_json(Path(cfg.work_dir) / 'metrics.json', metrics)
    return metrics


def _is_first_process() -> bool:
    return int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0


class _LoadEveryWeight(Hook):
    """Loads a checkpoint before the run and insists on all weights; MMEngine only warns of missing ones."""

    def __init__(self, checkpoint: str, shuffle_free: bool) -> None:
        self.checkpoint = checkpoint
        self.shuffle_free = shuffle_free

    def before_run(self, runner: Runner) -> None:
        try:
            runner.load_checkpoint(self.checkpoint, map_location='cpu', strict=True)
        except RuntimeError as error:
            raise wrong_weights(self.checkpoint, error) from error
        if self.shuffle_free:
            model = runner.model
            while hasattr(model, 'module'):  # a distributed run, test-time augmentation
                model = model.module
            fast = shuffle_free_detector(model.eval())
            model.backbone, model.neck = fast.backbone, getattr(fast, 'neck', None)


def _coco_metrics(cfg: Config) -> list[Any]:
    if metrics := [metric for metric in metrics_of(cfg, 'test_evaluator')
                   if metric.get('type') in ('CocoMetric', 'mmdet.CocoMetric')]:
        return metrics
    raise UserError('--out with .json writes COCO results, and the config evaluates with no CocoMetric.')


def _is_scored(cfg: Config, tested: EvaluationData | None, out: str | None) -> bool:
    """Whether metrics can be computed. Where not, the config's metrics are set to write detections only."""
    annotated = tested is None or tested.annotations > 0
    metrics = metrics_of(cfg, 'test_evaluator')
    if annotated and not any(metric.get('format_only') for metric in metrics):
        return True
    if out is None and not any(metric.get('outfile_prefix') for metric in metrics):
        missing = f'{tested.ann_file} has no annotations' if not annotated else 'format_only computes no metrics'
        raise UserError(f'{missing}, so there is nothing to compare with. Write the detections: --out results.json')
    if out is not None and Path(out).suffix != '.json':
        cfg.test_evaluator = dict(type='DumpDetResults', out_file_path=out)
        return False
    for metric in (metrics := _coco_metrics(cfg)):
        metric.format_only = True
        metric.setdefault('outfile_prefix', metrics[0].outfile_prefix)
    cfg.test_evaluator = metrics
    return False


def _augment(cfg: Config) -> None:
    """Test-time augmentation as in MMDetection's tools/test.py: the image and its mirror image, merged by NMS."""
    if 'tta_model' not in cfg:
        cfg.tta_model = dict(
            type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100))
    dataset = base_dataset(cfg, 'test')
    if 'tta_pipeline' not in cfg:
        flips = [dict(type='RandomFlip', prob=1.0), dict(type='RandomFlip', prob=0.0)]
        *transforms, pack = deepcopy(dataset.pipeline)
        if 'meta_keys' in pack:  # else it packs both by itself
            pack.meta_keys = (*pack.meta_keys, 'flip', 'flip_direction')
        cfg.tta_pipeline = [*transforms, dict(type='TestTimeAug', transforms=[flips, [pack]])]
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline
