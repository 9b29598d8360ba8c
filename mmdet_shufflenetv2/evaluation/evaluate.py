"""Evaluate a checkpoint: COCO metrics of a detector, or accuracy of a classifier."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from mmdet.evaluation import DumpDetResults
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from ..checkpoints.mismatch import weights_mismatch
from ..checkpoints.unwrap import strip_prefixes, unwrap_weights
from ..compat.registry_errors import registry_errors
from ..compat.screen import quiet_screen
from ..config.access import is_detector, metrics_of
from ..config.edits import coco_metrics
from ..config.options import EvaluateOptions
from ..config.resolve import resolve
from ..config.runner import build_runner
from ..data.checks import prepare_data
from ..deploy.shuffle_free import shuffle_free_detector
from ..utils.errors import UserError
from ..utils.files import make_folder, put_in_place, write_json
from ..utils.options import takes_options
from .evaluation_data import EvaluationData, evaluation_data, write_note

__all__ = ['evaluate']

# Starts of lines in COCO's tables.
_RESULTS = (' Average ', '\n+--')
# Environment variables of X11 and Wayland.
_DISPLAYS = ('DISPLAY', 'WAYLAND_DISPLAY')


@takes_options(EvaluateOptions)
def evaluate(options: EvaluateOptions) -> dict[str, float]:
    """Evaluate a checkpoint: ``evaluate(EvaluateOptions(config, checkpoint))``, or ``evaluate(config, checkpoint)``.

    The checkpoint can be a URL such as ``torchvision://shufflenet_v2_x1_0.imagenet1k_v1``. It must have all weights of
    the model.

    Returns:
        The metrics: ``coco/bbox_mAP``, ..., or ``accuracy/top1`` and ``accuracy/top5`` in percent.

    Raises:
        UserError: If the config, the data or the checkpoint is invalid.
    """
    if options.show and sys.platform.startswith('linux') and not any(map(os.environ.get, _DISPLAYS)):
        raise UserError('show=True needs a display, but there is none. Write figures to files instead: show_dir=DIR')
    with quiet_screen(_RESULTS):
        return _evaluate(options)


def _evaluate(options: EvaluateOptions) -> dict[str, float]:
    cfg, _ = resolve(options)
    tested = evaluation_data(cfg) if is_detector(cfg) else None
    scored = _is_scored(cfg, tested, options.out)
    if _is_first_process():
        if tested:
            print(f'evaluating on {tested}')
        if not scored:
            print('writing detections only, without metrics')
    prepare_data(cfg, 'test', say=options.data is None, annotated=tested is None or tested.annotations > 0)
    make_folder(cfg.work_dir, 'work_dir')
    if options.out:
        make_folder(Path(options.out).parent, 'out')
    runner = build_runner(cfg)
    if options.out and scored and not options.out.endswith('.json'):
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=options.out))
    runner.register_hook(_Bar())
    runner.register_hook(_LoadEveryWeight(str(options.checkpoint), options.shuffle_free), priority='LOWEST')
    with registry_errors():
        metrics = runner.test()
    if runner.rank == 0:
        _write(options, cfg.work_dir, tested, metrics if scored else None)
    return metrics


def _write(
    options: EvaluateOptions, work_dir: str, tested: EvaluationData | None, metrics: dict[str, float] | None
) -> None:
    if options.out and options.out.endswith('.json'):
        put_in_place(Path(f'{os.path.splitext(options.out)[0]}.bbox.json'), Path(options.out))
        if tested:
            write_note(options.out, tested, checkpoint=str(options.checkpoint), metrics=metrics or {})
    if metrics is not None:
        if not any(name.startswith('coco/') for name in metrics):  # otherwise the table is printed
            print(', '.join(f'{name} {value:.4g}' for name, value in metrics.items()) or 'no detections')
        write_json(Path(work_dir) / 'metrics.json', metrics)
        print(f'metrics: {Path(work_dir) / "metrics.json"}')


def _is_first_process() -> bool:
    return int(os.environ.get('RANK', os.environ.get('SLURM_PROCID', 0))) == 0


class _Bar(Hook):
    """Shows a progress bar on a terminal."""

    def before_test_epoch(self, runner: Runner) -> None:
        self.bar = tqdm(
            total=len(runner.test_dataloader),
            unit='batch',
            disable=None,
            leave=False,
            dynamic_ncols=True,
            desc='evaluating',
        )

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.bar.update()

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self.bar.close()


class _LoadEveryWeight(Hook):
    """Loads a checkpoint before the run and requires all weights. MMEngine only warns about missing ones."""

    def __init__(self, checkpoint: str, shuffle_free: bool) -> None:
        self.checkpoint = checkpoint
        self.shuffle_free = shuffle_free

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        # Distributed runs and test-time augmentation wrap the model.
        own, _ = strip_prefixes(runner.model.state_dict(), prefixes=('module.',))
        if (weights := unwrap_weights(checkpoint, own)) is not checkpoint:
            checkpoint['state_dict'] = weights

    def before_run(self, runner: Runner) -> None:
        try:
            runner.load_checkpoint(self.checkpoint, map_location='cpu', strict=True)
        except RuntimeError as error:
            raise weights_mismatch(self.checkpoint, error) from error
        if self.shuffle_free:
            model = runner.model
            while hasattr(model, 'module'):  # a distributed run, test-time augmentation
                model = model.module
            fast = shuffle_free_detector(model.eval())
            model.backbone, model.neck = fast.backbone, getattr(fast, 'neck', None)


def _is_scored(cfg: Config, tested: EvaluationData | None, out: str | None) -> bool:
    """Whether metrics can be computed. Otherwise the config is changed to write detections only."""
    annotated = tested is None or tested.annotations > 0
    metrics = metrics_of(cfg, 'test_evaluator')
    if annotated and not any(metric.get('format_only') for metric in metrics):
        return True
    if out is None and not any(metric.get('outfile_prefix') for metric in metrics):
        missing = f'{tested.ann_file} has no annotations' if tested and not annotated else 'format_only is set'
        raise UserError(f'No metrics can be computed: {missing}. Write the detections: out=results.json')
    if out is not None and Path(out).suffix != '.json':
        cfg.test_evaluator = dict(type='DumpDetResults', out_file_path=out)
        return False
    for metric in (metrics := coco_metrics(cfg)):
        metric.format_only = True
        metric.setdefault('outfile_prefix', metrics[0].outfile_prefix)
    cfg.test_evaluator = metrics
    return False
