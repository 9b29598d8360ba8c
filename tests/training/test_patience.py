"""A run ends when its score has not improved for a number of evaluations."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.edits import end_early
from mmdet_shufflenetv2.training.patience import PatienceHook
from mmdet_shufflenetv2.training.train import train


def runner_at(done, best, by_epoch, interval):
    loop = SimpleNamespace(stop_training=False, val_interval=interval)
    if by_epoch:
        loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
        loop.stop_training, loop.val_interval = False, interval
    hub = MessageHub(f'patience {done} {best} {by_epoch} {interval}')
    if best is not None:
        hub.update_info('best_ckpt', f'run_3.pth/best_coco_bbox_mAP_{"epoch" if by_epoch else "iter"}_{best}.pth')
    return SimpleNamespace(
        train_loop=loop,
        val_loop=object(),
        message_hub=hub,
        epoch=done,
        iter=done,
        logger=SimpleNamespace(info=lambda text: None),
    )


@pytest.mark.parametrize(
    ('done', 'best', 'interval', 'ends'),
    [
        (10, 10, 1, False),
        (11, 10, 1, False),
        (12, 10, 1, True),
        (13, 10, 1, True),
        (30, 20, 10, False),
        (40, 20, 10, True),
        (33, 20, 10, True),  # the last evaluation comes early
        (40, None, 1, False),
    ],
)
@pytest.mark.parametrize('by_epoch', [True, False])
def test_run_ends_after_patience_evaluations(done, best, interval, ends, by_epoch):
    runner = runner_at(done, best, by_epoch, interval)
    PatienceHook(patience=2).after_val_epoch(runner)
    assert runner.train_loop.stop_training == ends


@pytest.mark.slow
def test_ended_run_resumes_only_with_more_patience(small_classifier, tmp_path, capfd):
    def epochs(patience, **options):
        train(
            small_classifier,
            work_dir=str(tmp_path),
            epochs=4,
            lr=1e-12,
            patience=patience,
            cfg_options={
                'model.backbone.norm_eval': True,
                'train_cfg.val_interval': 4,
                'default_hooks.checkpoint.max_keep_ckpts': -1,
                'custom_hooks': [dict(type='EMAHook')],
            },
            **options,
        )
        return len(list(tmp_path.glob('epoch_*.pth'))), capfd.readouterr().out

    made, out = epochs(1)
    assert made == 2
    assert 'No better score in 1 evaluations: stopping. The best is from epoch 1.' in out
    assert epochs(1, resume='auto')[0] == 2
    assert epochs(2, resume='auto')[0] == 3


@pytest.mark.parametrize('change', [dict(val_dataloader=None), dict(best=None), dict(best=['one', 'two'])])
def test_patience_needs_one_metric(change):
    cfg = Config(dict(val_dataloader=dict(), default_hooks=dict(checkpoint=dict(save_best=change.pop('best', 'auto')))))
    cfg.merge_from_dict(change)
    with pytest.raises(UserError, match='patience=3(?s:.*)save_best'):
        end_early(cfg, 3)
