"""A run that uses all kinds of randomness, and the comparison of two runs."""

from __future__ import annotations

import torch

from mmdet_shufflenetv2.checkpoints.safe_loading import load

RANDOM = """
_base_ = ['{config}']
randomness = dict(seed=7)
_shuffled = dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomChoiceResize', scales=[(64, 64), (96, 96)], keep_ratio=True),
    dict(type='PhotoMetricDistortion'), dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')])
train_dataloader = dict(batch_size=2, num_workers={workers}, persistent_workers={workers} > 0, dataset=_shuffled)
train_cfg = dict(max_epochs=2)
val_dataloader = val_cfg = val_evaluator = None
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=1, save_best=None))
custom_hooks = [{hooks}]
"""


def assert_same_run(one, other):
    """Two checkpoints hold the same weights, averages, optimizer and losses, bit for bit."""
    one, other = load(one), load(other)
    assert one['meta']['iter'] == other['meta']['iter']
    for part in ('state_dict', 'ema_state_dict'):
        assert one.get(part, {}).keys() == other.get(part, {}).keys()
        for key, tensor in one.get(part, {}).items():
            assert torch.equal(tensor, other[part][key]), key
    for key, state in one['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other['optimizer']['state'][key][name]))
    losses, others = (
        [float(value) for value in run['message_hub']['log_scalars']['train/loss'].data[0]] for run in (one, other)
    )
    assert losses == others
