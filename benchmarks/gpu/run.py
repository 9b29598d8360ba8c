"""Everything that only a GPU can show, in stages; each writes its tables as soon as it has a row.

    python benchmarks/gpu/run.py                                    # all that needs no data
    python benchmarks/gpu/run.py --stages finetune --coco DIR --weights FILE --backbone FILE
    python benchmarks/gpu/run.py --quick --output trial             # small sizes, also without a GPU

A stage that fails leaves NAME_error.txt; the others run.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import torch

import mmdet_shufflenetv2  # noqa: F401 - before MMDetection, which cannot be imported without it

# isort: split
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.runner import Runner
from steps import resize_images, run_steps, with_mmpretrain_backbone

from mmdet_shufflenetv2.config.edits import set_data_root
from mmdet_shufflenetv2.config.load import load_config
from mmdet_shufflenetv2.data.checks import prepare_data
from mmdet_shufflenetv2.evaluation.evaluate import evaluate
from mmdet_shufflenetv2.models.build import build_model
from mmdet_shufflenetv2.paper.reproduce.estimate import BATCH, SIZE, synthetic_batch
from mmdet_shufflenetv2.paper.reproduce.rows import ROWS
from mmdet_shufflenetv2.profiling.timing import machine_name, slug, summarize, time_alternating
from mmdet_shufflenetv2.training.train import train
from mmdet_shufflenetv2.utils.files import write_atomically, write_json
from mmdet_shufflenetv2.visualization.curves import read_scalars

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
#: Sizes of --quick.
SMALL = (64, 96)


class Settings(NamedTuple):
    """What the command line says."""

    device: str
    output: Path
    quick: bool
    coco: Path | None
    weights: Path | None
    backbone: Path | None


class Table:
    """A table in ``NAME.json`` and ``NAME.md``, written after each row."""

    def __init__(self, settings: Settings, name: str, title: str) -> None:
        self.path, self.title, self.rows = settings.output / name, title, []
        self.about = dict(
            machine=machine_name(settings.device),
            torch=torch.__version__,
            command=shlex.join(['python', *sys.argv]),
            quick=settings.quick,
        )

    def add(self, **row: Any) -> None:
        """Append a row; its keys are the columns."""
        self.rows.append(row)
        columns = list(dict.fromkeys(column for row in self.rows for column in row))
        cells = [[_cell(row.get(column, '')) for column in columns] for row in self.rows]
        quick = ' Small sizes: the figures say nothing.' if self.about['quick'] else ''
        lines = [
            f'# {self.title}\n',
            f'{self.about["machine"]}, PyTorch {self.about["torch"]}. `{self.about["command"]}`{quick}\n',
            *(f'| {" | ".join(line)} |' for line in [columns, ['---'] * len(columns), *cells]),
        ]
        write_atomically(self.path.with_suffix('.md'), '\n'.join(lines) + '\n')
        write_json(self.path.with_suffix('.json'), self.about | dict(rows=self.rows))
        print(lines[-1], flush=True)


def _cell(value: Any) -> str:
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def _release(settings: Settings) -> None:
    gc.collect()
    if settings.device != 'cpu':
        torch.cuda.empty_cache()


def _command(*words: object) -> None:
    """Run a command in a process of its own."""
    env = os.environ | dict(PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    subprocess.run([sys.executable, '-m', *map(str, words)], cwd=ROOT, env=env, check=True)


def tests(settings: Settings) -> None:
    """The tests that need a GPU."""
    log = settings.output / 'tests.xml'
    where = ['tests/compat/test_ops_devices.py'] if settings.quick else ['tests', '--continue-on-collection-errors']
    try:
        _command('pytest', '-q', '-m', 'gpu', '-p', 'no:cacheprovider', f'--junitxml={log}', *where)
    except subprocess.CalledProcessError as error:
        if not log.is_file():
            raise
        print(error)
    table, counts = Table(settings, 'tests', 'Tests that need a GPU'), {}
    for case in ElementTree.parse(log).iter('testcase'):
        states = counts.setdefault(case.get('classname'), dict(passed=0, failed=0, skipped=0, seconds=0.0))
        kinds = {child.tag for child in case}
        state = 'failed' if kinds & {'failure', 'error'} else 'skipped' if 'skipped' in kinds else 'passed'
        states[state] += 1
        states['seconds'] += float(case.get('time'))
    for name, states in counts.items():
        table.add(file=name, **states)


def table7(settings: Settings) -> None:
    """Images per second of table 7: batches of 4 images of 800x1200 pixels, random weights."""
    table = Table(settings, 'table7', 'Table 7: images per second of Light-Head R-CNN, batch 4 at 800x1200')
    size = SMALL if settings.quick else SIZE
    rows = [row for row in ROWS if row.table == 'coco']
    for row in rows[:1] if settings.quick else rows:
        cfg = load_config(ROOT / row.config)
        resize_images(cfg, 'test', size)
        batch, calls = synthetic_batch(cfg, 'test', BATCH, size), {}
        for name, half, memory_format in (
            ('fp32', False, torch.contiguous_format),
            ('fp16', True, torch.contiguous_format),
            ('fp16, channels_last', True, torch.channels_last),
        ):
            torch.manual_seed(0)
            model = build_model(cfg.model)
            model.init_weights()
            model.to(settings.device, memory_format=memory_format)
            calls[name] = _detect(model, batch, settings.device, half)
        seconds = time_alternating(
            calls, rounds=2 if settings.quick else 30, warmup=1 if settings.quick else 10, device=settings.device
        )
        speeds = {name: BATCH / summarize(times).median for name, times in seconds.items()}
        paper = row.cells['images_per_second'].published
        table.add(network=row.network, **speeds, paper_gtx_1080_ti=paper, best_to_paper=max(speeds.values()) / paper)
        if row.name == 'coco_1.0x' or settings.quick:
            _profile(settings, 'table7', calls['fp16'])
        del calls
        _release(settings)


def _detect(model: Any, batch: Any, device: str, half: bool) -> Callable[[], object]:
    dtype = torch.bfloat16 if device == 'cpu' else torch.float16

    def call() -> object:
        with torch.no_grad(), torch.autocast(torch.device(device).type, dtype, enabled=half):
            return model.test_step(batch)

    return call


def _profile(settings: Settings, name: str, call: Callable[[], object]) -> None:
    """The operators that take most of the time of a call."""
    with torch.profiler.profile() as profile:
        call()
    key = 'self_cpu_time_total' if settings.device == 'cpu' else 'self_device_time_total'
    write_atomically(settings.output / f'{name}_profile.txt', profile.key_averages().table(sort_by=key, row_limit=25))


DETECTORS = {
    'Faster R-CNN': 'faster_rcnn_snv2.py',
    'RetinaNet': 'retinanet_snv2.py',
    'Light-Head R-CNN': 'light_head_rcnn_snv2.py',
    'NanoDet-m': 'nanodet_m_snv2.py',
    'NanoDet-Plus': 'nanodet_plus_m_snv2.py',
}
#: Faster R-CNN on the three maps that mmpretrain's backbone can return.
ON_THREE_MAPS = {
    'model.backbone.out_indices': (1, 2, 3),
    'model.neck.in_channels': [116, 232, 464],
    'model.rpn_head.anchor_generator.strides': [8, 16, 32, 64, 128],
    'model.roi_head.bbox_roi_extractor.featmap_strides': [8, 16, 32, 64],
}


def _training_config(settings: Settings, name: str, options: dict[str, Any] | None = None) -> Config:
    # Random weights must not run through norms that keep the statistics of trained ones.
    cfg = load_config(CONFIGS / DETECTORS[name], {**(options or {}), 'model.backbone.norm_eval': False})
    cfg.model.backbone.pop('norm_cfg', None)
    if settings.quick:
        resize_images(cfg, 'train', SMALL)
    return cfg


def mixed_precision(settings: Settings) -> None:
    """Fifty steps of each detector in float32, float16 and bfloat16: are the losses finite?"""
    table = Table(settings, 'mixed_precision', 'Losses of 50 steps on one batch of 4')
    steps, batch = (2, 2) if settings.quick else (50, 4)
    names = ['NanoDet-m'] if settings.quick else list(DETECTORS)
    for name in names:
        for dtype in (None,) if settings.device == 'cpu' else (None, 'float16', 'bfloat16'):
            done = run_steps(_training_config(settings, name), settings.device, batch, steps, dtype)
            table.add(
                detector=name,
                precision=dtype or 'float32',
                first_loss=done.losses[0],
                last_loss=done.losses[-1],
                finite=all(map(math.isfinite, done.losses)),
                ms_per_step=1e3 * done.step,
                peak_mib=done.memory,
            )
            _release(settings)


def training(settings: Settings) -> None:
    """Throughput and peak memory of training, our backbone beside mmpretrain's in the same detector."""
    table = Table(settings, 'training', 'Training throughput and peak memory')
    steps, batch = (1, 2) if settings.quick else (20, 16)
    for name, options in {'Faster R-CNN': ON_THREE_MAPS, 'NanoDet-Plus': {}}.items():
        for backbone in ('ours', 'mmpretrain'):
            for dtype, channels_last in ((None, False), ('float16', False), ('float16', True)):
                if dtype and settings.device == 'cpu':
                    continue
                cfg = _training_config(settings, name, options)
                row = dict(detector=name, backbone=backbone, precision=dtype or 'float32', channels_last=channels_last)
                try:
                    if backbone == 'mmpretrain':
                        with_mmpretrain_backbone(cfg)
                    done = run_steps(cfg, settings.device, batch, steps, dtype, channels_last)
                except ImportError as error:
                    table.add(**row, note=str(error))
                    continue
                table.add(
                    **row,
                    batch=batch,
                    images_per_second=batch / done.step,
                    peak_mib=done.memory,
                    data_ms=1e3 * done.data,
                    **{f'{part}_ms': 1e3 * seconds for part, seconds in done.parts.items()},
                )
                _release(settings)


def hooks(settings: Settings) -> None:
    """Our training with its hooks beside MMEngine's runner alone, on the built-in data with a loader."""
    table = Table(settings, 'hooks', 'A step with our hooks and with those of MMEngine alone')
    epochs, size, count, batch = (1, 64, 4, 2) if settings.quick else (4, 320, 320, 16)
    for name in ('ours', 'stock', 'ours', 'stock'):
        with tempfile.TemporaryDirectory() as folder:
            options = {
                'train_cfg.max_epochs': epochs,
                'train_cfg.val_interval': 1000,
                'train_dataloader.batch_size': batch,
                **{
                    f'{split}_dataloader.dataset.shapes': dict(num_train=count, num_val=4, size=size)
                    for split in ('train', 'val', 'test')
                },
                'default_hooks.logger.interval': 1,
                'log_processor.window_size': 1,
            }
            data_root = f'{folder}/shapes'
            os.mkdir(data_root)
            config, work_dir = str(CONFIGS / 'faster_rcnn_snv2_shapes.py'), f'{folder}/work'
            began = time.perf_counter()
            if name == 'ours':
                train(config, work_dir=work_dir, data_root=data_root, cfg_options=options)
            else:
                cfg = load_config(config, options, work_dir)
                cfg.visualizer.pop('name', None)
                set_data_root(cfg, data_root)
                prepare_data(cfg, 'train', 'val')
                Runner.from_cfg(cfg).train()
            wall, (series, _) = time.perf_counter() - began, read_scalars(work_dir)
            table.add(
                hooks=name,
                batch=batch,
                ms_per_step=1e3 * statistics.median(series['time'].values()),
                of_it_data_ms=1e3 * statistics.median(series['data_time'].values()),
                peak_mib=max(series.get('memory', {0: 0.0}).values()),
                wall_seconds=wall,
            )


def guidelines(settings: Settings) -> None:
    """Tables 1 to 4 and the breakdown, with the verdicts, by ``snv2 guidelines``."""
    folder = settings.output / 'guidelines'
    tables = ['G1'] if settings.quick else ['G1', 'G2', 'G3', 'G4', 'all']  # all: once more, with the figure
    for name in tables:
        seconds = 0.02 if settings.quick else 5
        _command(
            'mmdet_shufflenetv2', 'guidelines', '--device', settings.device, '--table', name,
            '--seconds', seconds, '--out-dir', folder,
        )  # fmt: skip


def latency(settings: Settings) -> None:
    """Every form of the backbone and of three detectors, by ``snv2 benchmark``."""
    sizes = [SMALL] if settings.quick else [(224, 224), (320, 320), (800, 1344)]
    common = ['--device', settings.device, '--rounds', 1 if settings.quick else 50]
    common += ['--no-memory', '--skip', 'compiled', 'openvino', 'ncnn'] if settings.quick else []
    for width in (0.5,) if settings.quick else (1.0, 0.5):
        shapes = [word for size in sizes for word in ('--shape', *size)]
        out = settings.output / 'latency' / f'backbone_{width}x'
        _command('mmdet_shufflenetv2', 'benchmark', '--width', width, *shapes, *common, '--out-dir', out)
    detectors = {
        'faster_rcnn_snv2': (800, 1344),
        'light_head_rcnn_snv2': (800, 1200),
        'nanodet_plus_m_snv2': (320, 320),
    }
    for name, size in {} if settings.quick else detectors.items():
        out = settings.output / 'latency' / name
        _command(
            'mmdet_shufflenetv2', 'benchmark', '--config', CONFIGS / f'{name}.py', '--shape', *size, *common,
            '--out-dir', out,
        )  # fmt: skip


def finetune(settings: Settings) -> None:
    """Fine-tuning on real images: mmAP before and after, and wall time."""
    if not (settings.coco and settings.weights and settings.backbone):
        print('finetune: skipped, since it needs --coco, --weights and --backbone')
        return
    table = Table(settings, 'finetune', 'Fine-tuning on real images')
    # Read by the config of Faster R-CNN.
    os.environ |= dict(COCO_TINY=str(settings.coco), SNV2_WEIGHTS=str(settings.backbone))
    nanodet, faster = CONFIGS / 'nanodet_plus_m_snv2.py', 'benchmarks/coco_tiny/faster_rcnn_snv2_coco_tiny.py'
    with tempfile.TemporaryDirectory() as folder:
        work_dir = f'{folder}/nanodet_plus'
        few = {'val_evaluator.classwise': False, 'test_evaluator.classwise': False}
        before = evaluate(
            str(nanodet), str(settings.weights), work_dir=work_dir, data_root=str(settings.coco), cfg_options=few
        )
        for name, config, data_root, epochs, options in (
            (
                'NanoDet-Plus, published weights; images of val2017',
                nanodet,
                str(settings.coco),
                20,
                {
                    'load_from': str(settings.weights),
                    'train_dataloader.batch_size': 10,
                    'optim_wrapper.optimizer.lr': 3e-5,
                    'param_scheduler.0.end': 10,
                    'param_scheduler.1.T_max': 20,
                    'auto_scale_lr.enable': False,
                },
            ),
            ('Faster R-CNN, backbone of NanoDet-m; the images of the training', ROOT / faster, None, 60, {}),
        ):
            epochs = 1 if settings.quick else epochs
            short = {'train_dataloader.dataset.indices': 10} if settings.quick else {}
            began = time.perf_counter()
            work_dir = f'{folder}/{Path(config).stem}'
            train(
                str(config),
                work_dir=work_dir,
                data_root=data_root,
                amp=settings.device != 'cpu',
                cfg_options={
                    **few,
                    **options,
                    **short,
                    'train_cfg.max_epochs': epochs,
                    'train_cfg.val_interval': epochs,
                    'default_hooks.checkpoint.interval': epochs,
                },
            )
            wall, (losses, metrics) = time.perf_counter() - began, read_scalars(work_dir)
            loss = list(losses['loss'].values())
            table.add(
                detector=name,
                epochs=epochs,
                mmap_before=100 * before['coco/bbox_mAP'] if data_root else '',
                mmap=_last_percent(metrics, 'coco/bbox_mAP'),
                ap50=_last_percent(metrics, 'coco/bbox_mAP_50'),
                first_loss=loss[0],
                last_loss=loss[-1],
                wall_seconds=wall,
            )


def _last_percent(metrics: dict[str, dict[int, float]], name: str) -> float:
    return 100 * list(metrics.get(name, {0: 0.0}).values())[-1]  # without any box, MMDetection logs none


STAGES: dict[str, Callable[[Settings], None]] = {
    stage.__name__: stage for stage in (tests, table7, mixed_precision, training, hooks, guidelines, latency, finetune)
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--stages', nargs='+', default=list(STAGES), choices=list(STAGES))
    parser.add_argument('--output', type=Path, metavar='DIR', help='(default: benchmarks/gpu/NAME_OF_THE_GPU)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--quick', action='store_true', help='small sizes, to try the script')
    parser.add_argument('--coco', type=Path, metavar='DIR', help="images and annotations in COCO's layout")
    parser.add_argument('--weights', type=Path, metavar='FILE', help='NanoDet-Plus-m for 320 pixels')
    parser.add_argument('--backbone', type=Path, metavar='FILE', help="NanoDet-m's backbone")
    arguments = parser.parse_args()
    if arguments.device == 'cpu' and not arguments.quick:
        parser.error('PyTorch finds no GPU. To try the script on the CPU: --quick')
    output = arguments.output or Path(__file__).parent / slug(machine_name(arguments.device))
    output.mkdir(parents=True, exist_ok=True)
    paths = (path and path.resolve() for path in (arguments.coco, arguments.weights, arguments.backbone))
    settings = Settings(arguments.device, output.resolve(), arguments.quick, *paths)
    register_all_modules(init_default_scope=True)
    failed = []
    for name in arguments.stages:
        began = time.perf_counter()
        (output / f'{name}_error.txt').unlink(missing_ok=True)  # of an earlier call
        print(f'\n== {name}: {(STAGES[name].__doc__ or "").strip()}', flush=True)
        try:
            STAGES[name](settings)
        except Exception:
            failed.append(name)
            write_atomically(output / f'{name}_error.txt', traceback.format_exc())
            traceback.print_exc()
        _release(settings)
        print(f'== {name}: {time.perf_counter() - began:.0f} s', flush=True)
    if failed:
        sys.exit(f'failed: {", ".join(failed)}')


if __name__ == '__main__':
    main()
