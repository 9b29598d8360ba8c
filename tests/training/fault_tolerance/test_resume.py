"""Flags that are given with ``resume`` take effect as in a run that began with them, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.utils import register_all_modules
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints.safe_loading import load
from mmdet_shufflenetv2.training.fault_tolerance import state_hook  # noqa: F401 - registers

WARM_UP = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)


class Line(BaseModel):
    """One layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, outputs)

    def forward(self, inputs: torch.Tensor, **_: Any) -> dict[str, torch.Tensor]:
        return dict(loss=self.layer(inputs).square().sum())


class Images(list):
    """Eight of them, with classes."""

    def __init__(self, classes: tuple[str, ...], count: int) -> None:
        super().__init__(dict(inputs=torch.ones(1)) for _ in range(count))
        self.metainfo = dict(classes=classes)


class RecordRates(Hook):
    """Notes the learning rate of each step."""

    def __init__(self) -> None:
        self.rates: dict[int, float] = {}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.rates[runner.iter] = runner.optim_wrapper.param_groups[0]['lr']

    priority = 'HIGHEST'  # before the schedulers step


def run(
    work_dir: Path,
    length: int,
    *,
    by_epoch: bool = True,
    resume: Path | None = None,
    lr: float = 0.1,
    batch: int = 2,
    schedule: dict[str, Any] | None = None,
    classes: tuple[str, ...] = ('a', 'b'),
    outputs: int | None = None,
    optimizer: str = 'SGD',
    seed: int | None = None,
    count: int = 8,
    **optimizer_args: Any,
) -> dict[int, float]:
    """Train a layer on eight images; returns the learning rate of each step that was taken."""
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    loop = (
        dict(type='ResumableEpochLoop', max_epochs=length)
        if by_epoch
        else dict(type='IterBasedTrainLoop', max_iters=length)
    )
    loader = dict(
        dataset=Images(classes, count),
        sampler=dict(type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=True),
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        batch_size=batch,
    )
    if by_epoch:
        loader['batch_sampler'] = dict(type='ResumableBatchSampler')
    schedule = schedule or dict(type='CosineAnnealingLR', T_max=length, by_epoch=by_epoch)
    record = RecordRates()
    runner = Runner(
        Line(outputs or len(classes)),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=loop,
        optim_wrapper=dict(optimizer=dict(type=optimizer, lr=lr, **optimizer_args)),
        param_scheduler=[dict(WARM_UP), schedule],
        resume=resume is not None,
        load_from=resume and str(resume),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1 if by_epoch else 4, by_epoch=by_epoch)),
        custom_hooks=[dict(type='RunStateHook')],
        randomness=dict(seed=seed),
        default_scope='mmdet',
        log_level='ERROR',
        experiment_name=f'{work_dir.name}_{length}_{resume}',
    )
    runner.register_hook(record)
    runner.train()
    return record.rates


def saved(work_dir: Path, number: int, by_epoch: bool) -> Path:
    return work_dir / (f'epoch_{number}.pth' if by_epoch else f'iter_{number}.pth')


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
@pytest.mark.parametrize(
    'change',
    [
        dict(lr=0.02),
        dict(length=2),
        dict(schedule='PolyLR'),
        dict(schedule='MultiStepLR'),
        dict(lr=0.02, length=2),
    ],
    ids=str,
)
def test_changed_schedule_continues_as_from_the_start(tmp_path, by_epoch, change):
    unit = 1 if by_epoch else 4
    long = 6 * unit
    kinds = dict(
        PolyLR=dict(type='PolyLR', begin=0, end=long, by_epoch=by_epoch),
        MultiStepLR=dict(type='MultiStepLR', milestones=[unit, 3 * unit], by_epoch=by_epoch),
    )
    schedule = kinds.get(change.get('schedule'))
    lr = change.get('lr', 0.1)
    wanted = run(tmp_path / 'at_once', long, by_epoch=by_epoch, lr=lr, schedule=schedule)
    run(tmp_path / 'part', change.get('length', 6) * unit, by_epoch=by_epoch)
    got = run(
        tmp_path / 'part',
        long,
        by_epoch=by_epoch,
        lr=lr,
        schedule=schedule,
        resume=saved(tmp_path / 'part', 2 * unit, by_epoch),
    )
    assert list(got) == list(range(8, 24))
    assert list(got.values()) == pytest.approx([wanted[step] for step in got], rel=1e-9)


@pytest.mark.parametrize('kind', ['OneCycleLR', 'CosineRestartLR'])
def test_fixed_length_schedules_are_extended(tmp_path, kind):

    def of(epochs):
        return dict(
            OneCycleLR=dict(type=kind, eta_max=0.1, total_steps=epochs),
            CosineRestartLR=dict(type=kind, periods=[epochs // 2, epochs // 2], restart_weights=[1, 0.5], eta_min=0),
        )[kind]

    wanted = run(tmp_path / 'at_once', 6, schedule=of(6))
    run(tmp_path / 'part', 2, schedule=of(2))
    got = run(tmp_path / 'part', 6, schedule=of(6), resume=tmp_path / 'part' / 'epoch_2.pth')
    assert list(got.values()) == pytest.approx([wanted[step] for step in got], rel=1e-9)


@pytest.mark.parametrize('change', [dict(batch=4), dict(batch=1), dict(count=12)], ids=str)
def test_other_batch_size_or_images_continue_after_the_same_epoch(tmp_path, change):
    wanted = run(tmp_path / 'at_once', 6, **change)
    run(tmp_path / 'part', 6)
    got = run(tmp_path / 'part', 6, resume=tmp_path / 'part' / 'epoch_2.pth', **change)
    steps = len(wanted) // 6
    assert list(got) == list(range(2 * steps, 6 * steps))
    assert list(got.values()) == pytest.approx([wanted[step] for step in got], rel=1e-9)


def test_changed_optimizer_settings_take_effect(tmp_path):
    run(tmp_path, 2, momentum=0.9)
    run(tmp_path, 4, momentum=0.5, weight_decay=0.1, resume=tmp_path / 'epoch_2.pth')
    [group] = load(tmp_path / 'epoch_4.pth')['optimizer']['param_groups']
    assert (group['momentum'], group['weight_decay']) == (0.5, 0.1)


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_the_same_settings_are_restored_bit_for_bit(tmp_path, by_epoch):
    unit = 1 if by_epoch else 4
    wanted = run(tmp_path / 'at_once', 6 * unit, by_epoch=by_epoch)
    got = run(tmp_path / 'again', 6 * unit, by_epoch=by_epoch, resume=saved(tmp_path / 'at_once', 3 * unit, by_epoch))
    assert got == {step: wanted[step] for step in range(12, 24)}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(classes=('a', 'b', 'c')), r'2 classes \(a, b\), but this run has 3 classes .* load_from='),
        (dict(classes=('b', 'a')), r'\(a, b\), but this run has 2 classes \(b, a\)'),
        (dict(outputs=5), '2 weights do not match, such as layer.bias.* load_from='),
        (dict(optimizer='AdamW'), 'another optimizer.* load_from='),
        (dict(seed=9), 'randomness.seed is 9, but .* was trained with 7'),
        (dict(length=1), '2 epochs, more than the 1 of this run'),
        (dict(schedule=dict(type='ReduceOnPlateauLR')), 'ReduceOnPlateau'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_rejects_changes_that_resuming_cannot_make(tmp_path, change, words):
    run(tmp_path, 2, seed=7)
    with pytest.raises(UserError, match=words):
        run(tmp_path, **(dict(length=4, seed=7) | change), resume=tmp_path / 'epoch_2.pth')


def test_weights_without_training_state_cannot_be_resumed(tmp_path):
    torch.save(dict(state_dict=Line(2).state_dict(), meta={}), tmp_path / 'weights.pth')
    with pytest.raises(UserError, match='no training state.* load_from='):
        run(tmp_path, 2, resume=tmp_path / 'weights.pth')


def test_finished_run_is_reported(tmp_path, monkeypatch):
    said = []
    run(tmp_path, 2)
    monkeypatch.setattr('mmengine.logging.MMLogger.warning', lambda self, text, *args, **kwargs: said.append(text))
    assert run(tmp_path, 2, resume=tmp_path / 'epoch_2.pth') == {}
    assert any('has already finished all 2 epochs of this run' in text for text in said)
