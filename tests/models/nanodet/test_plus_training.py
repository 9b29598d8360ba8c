"""Training of NanoDet-Plus: checkpoints, the hook, and exact resuming."""

import signal

import pytest
import torch
from conftest import ROOT
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from mmdet_shufflenetv2.checkpoints.safe_loading import load
from mmdet_shufflenetv2.config.detector import load_detector
from mmdet_shufflenetv2.models.unwrap import unwrap_model
from mmdet_shufflenetv2.training.train import train
from mmdet_shufflenetv2.utils.errors import StoppedError

# Two epochs of three steps, with the random warp of the COCO config.
CONFIG = """
_base_ = ['{root}/configs/nanodet_plus_m_snv2_shapes.py']
randomness = dict(seed=7)
_data = dict(data_root='{data}/', shapes=dict(num_train=12, num_val=6, size=96))
_random = dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='WarpResize', scale=(64, 64), scaling_ratio_range=(0.6, 1.4), stretching_ratio_range=(0.8, 1.2),
         flip_prob=0.5, max_translate_ratio=0.2),
    dict(type='ColorDistortion'), dict(type='PackDetInputs')])
_loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader = dict(**_loader, dataset=dict(**_data, **_random))
val_dataloader = dict(**_loader, dataset=_data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
model = dict(
    backbone=dict(widen_factor=0.5), neck=dict(in_channels=[48, 96, 192], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16), test_cfg=dict(score_thr=0.0),
    train_cfg=dict(assign_guidance=dict(stacked_convs=1)))
train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)]
custom_hooks = [
    dict(type='AssignGuidanceHook', switch_epoch=1),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.0002, gamma=2000, update_buffers=True, priority=49),
    {hooks}]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(max_keep_ckpts=1))
"""


@HOOKS.register_module(force=True)
class RecordGuidance(Hook):
    """Records whether the guidance is detached, and stops the run after a step."""

    seen: list = []  # noqa: RUF012

    def __init__(self, stop_after=None):
        self.stop_after = stop_after

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(unwrap_model(runner.model).assign_guidance.detached)
        if runner.iter + 1 == self.stop_after:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def config(tmp_path, shapes_root):

    def write(stop_after=None):
        path = tmp_path / f'plus_{stop_after}.py'
        path.write_text(
            CONFIG.format(root=ROOT, data=shapes_root, hooks=f"dict(type='RecordGuidance', stop_after={stop_after})")
        )
        return path

    return write


@pytest.mark.slow
def test_a_resumed_run_is_exact_and_only_resumable_checkpoints_have_the_guidance(config, tmp_path):
    RecordGuidance.seen = []
    complete = train(config(), work_dir=str(tmp_path / 'complete'))
    assert RecordGuidance.seen == [False] * 3 + [True] * 3
    with pytest.raises(StoppedError):
        train(config(4), work_dir=str(tmp_path / 'stopped'))
    RecordGuidance.seen = []
    resumed = train(config(), work_dir=str(tmp_path / 'stopped'), resume='auto')
    assert RecordGuidance.seen == [True] * 2

    last, last_resumed, best = (
        load(run[name]) for run, name in ((complete, 'checkpoint'), (resumed, 'checkpoint'), (complete, 'best'))
    )
    for part in ('state_dict', 'ema_state_dict'):
        assert any('assign_guidance.' in key for key in last[part])
        assert not any('assign_guidance.' in key for key in best[part])
        assert last[part].keys() == last_resumed[part].keys()
        for key, tensor in last[part].items():
            assert torch.equal(tensor, last_resumed[part][key]), key
    for name in ('checkpoint', 'best'):
        assert load_detector(None, complete[name], 'cpu').assign_guidance is None
