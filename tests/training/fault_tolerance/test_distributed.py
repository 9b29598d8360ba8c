"""Two processes on the CPU, started as a user starts them."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmdet.models.dense_heads import RetinaHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.training.fault_tolerance import distributed

CONFIG = """
_base_ = ['{root}/configs/{base}_snv2_0.5x.py']
_small = dict(
    type='CocoDataset', data_root='{data}/', metainfo=dict(classes=('circle', 'square', 'triangle', 'star', 'cross')),
    _delete_=True)
_of = {{split: dict(ann_file=f'annotations/instances_{{split}}2017.json', data_prefix=dict(img=f'{{split}}2017/'))
       for split in ('train', 'val')}}
_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(96, 96), keep_ratio=True), dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
_loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size={batch_size}, **_loader, dataset=dict(pipeline=_pipeline, **_small, **_of['train']))
val_dataloader = dict(batch_size=1, **_loader, dataset=dict(test_mode=True, pipeline=_pipeline, **_small, **_of['val']))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
randomness = dict(seed=1)
auto_scale_lr = dict(enable=False)
model = dict(backbone=dict(norm_eval=True, init_cfg=None), {model})
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = []
train_cfg = dict(max_epochs={epochs}, val_interval={epochs})
default_hooks = dict(logger=dict(interval=1, log_metric_by_epoch=False), checkpoint=dict(save_best=None))
custom_hooks = [{hooks}]
custom_imports = dict(imports=['mmdet_shufflenetv2', {imports}], allow_failed_imports=False)
"""


MODELS = dict(
    retinanet='bbox_head=dict(num_classes=5, stacked_convs=1), test_cfg=dict(score_thr=0.0)',
    # Fewer proposals in some images than boxes to sample, so the processes count different numbers.
    faster_rcnn="""roi_head=dict(bbox_head=dict(num_classes=5, fc_out_channels=64)),
        train_cfg=dict(rpn_proposal=dict(max_per_img=60), rcnn=dict(sampler=dict(num=64))),
        test_cfg=dict(rcnn=dict(score_thr=0.0))""",
)


@pytest.fixture
def config(shapes_root, tmp_path):

    def write(name, batch_size, epochs, base='retinanet', hooks='', imports=''):
        path = tmp_path / f'{name}.py'
        path.write_text(
            CONFIG.format(
                root=ROOT,
                data=shapes_root,
                base=base,
                model=MODELS[base],
                batch_size=batch_size,
                epochs=epochs,
                hooks=hooks,
                imports=imports,
            )
        )
        return path

    return write


def torchrun(*arguments, cwd):
    return subprocess.Popen(
        [
            sys.executable,
            '-m',
            'torch.distributed.run',
            '--standalone',
            '--nproc-per-node',
            '2',
            str(ROOT / 'tools' / 'train.py'),
            *map(str, arguments),
        ],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | dict(CUDA_VISIBLE_DEVICES='', PYTHONPATH=f'{cwd}:{ROOT}', OMP_NUM_THREADS='1'),
    )


def scalars(work_dir):
    path = next(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize('base', ['faster_rcnn', 'retinanet'])
def test_two_processes_match_one_with_twice_the_batch_size(base, config, tmp_path, tool):
    two = torchrun(config('two', 2, 7, base), '--work-dir', tmp_path / 'two', cwd=tmp_path)
    out = two.communicate(timeout=300)[0]
    assert two.returncode == 0, out[-3000:]
    one = tool('train.py', config('one', 4, 7, base), '--work-dir', tmp_path / 'one')
    assert one.status == 0, one.err
    losses, others = ([line['loss'] for line in scalars(tmp_path / name) if 'loss' in line] for name in ('two', 'one'))
    assert len(losses) == 21
    np.testing.assert_allclose(losses, others, rtol=1e-4)
    assert sum(losses[-3:]) < sum(losses[:3])
    # Evaluating seven images would differ from evaluating six.
    scores, others = (
        next(line for line in scalars(tmp_path / name) if 'coco/bbox_mAP' in line) for name in ('two', 'one')
    )
    assert scores['coco/bbox_mAP'] == pytest.approx(others['coco/bbox_mAP'], abs=1e-3)
    logs = ''.join(path.read_text() for path in (tmp_path / 'two').rglob('*.log'))
    assert logs.count('Evaluating bbox...') == 1


DIES = """
import os
from mmdet.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class OneDies(Hook):

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 3 and runner.rank == 1:
            raise RuntimeError('the second process is dead')
"""


@pytest.mark.slow
def test_failed_process_ends_the_other_with_its_error(config, tmp_path):
    (tmp_path / 'one_dies.py').write_text(DIES)
    path = config('dies', 2, 7, hooks="dict(type='OneDies')", imports="'one_dies'")
    started = time.monotonic()
    process = torchrun(path, '--work-dir', tmp_path / 'run', cwd=tmp_path)
    out = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert 'the second process is dead' in out
    assert time.monotonic() - started < 100  # a minute, and the start


def test_launcher_without_environment_is_an_error_with_the_command(monkeypatch):
    from mmengine.config import Config

    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT', 'TORCHELASTIC_RUN_ID'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match='RANK.*torchrun --nproc-per-node'):
        distributed.join_processes(Config(dict(launcher='slurm')))


class Head(RetinaHead):
    """Counts ten positive anchors, in MMDetection's way or in its own."""

    def get_targets(self):
        return [torch.zeros(1)], 1, 2, 3, 10, 'more'


@pytest.mark.parametrize(('counts', 'own'), [(5.0, False), (10, True)])
def test_loss_normalizer_is_the_mean_over_processes(monkeypatch, counts, own):
    monkeypatch.setattr(distributed, 'reduce_mean', lambda count: count / 2)
    if not own:
        monkeypatch.setattr(distributed.AnchorHead, 'get_targets', Head.get_targets)
    head = Head(2, 4)
    distributed.share_normalizers(torch.nn.ModuleList([head]))
    assert head.get_targets()[4:] == (counts, 'more')


def test_box_head_divides_by_the_mean_number_of_boxes(monkeypatch):
    monkeypatch.setattr(distributed, 'reduce_mean', lambda count: count / 2)
    head = BBoxHead(num_classes=3)
    boxes = 6
    inputs = (
        torch.randn(boxes, 4),
        torch.randn(boxes, 12),
        torch.rand(boxes, 5),
        torch.arange(boxes) % 4,
        torch.ones(boxes),
        torch.rand(boxes, 4),
        torch.ones(boxes, 4),
    )
    alone, each = head.loss(*inputs), head.loss(*inputs, reduction_override='none')
    distributed.share_normalizers(torch.nn.ModuleList([head]))
    shared = head.loss(*inputs)
    for name in ('loss_cls', 'loss_bbox'):
        torch.testing.assert_close(shared[name], 2 * alone[name])
        torch.testing.assert_close(head.loss(*inputs, reduction_override='none')[name], each[name])
