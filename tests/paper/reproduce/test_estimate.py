import time

import pytest
import torch
from conftest import ROOT
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from mmdet_shufflenetv2.paper.reproduce.estimate import (
    count_images,
    count_steps,
    schedule,
    seconds_per_step,
    synthetic_batch,
)

register_all_modules()


@pytest.mark.parametrize(
    ('loader', 'images', 'gpus', 'steps'),
    [
        (dict(batch_size=8), 100, 1, 13),
        (dict(batch_size=8, drop_last=True), 100, 1, 12),
        (dict(batch_size=8), 100, 4, 4),  # 25 images each
        (dict(batch_size=128, drop_last=True), 1281167, 8, 1251),
    ],
)
def test_batches_are_counted_as_by_the_data_loader(loader, images, gpus, steps):
    assert count_steps(ConfigDict(loader), images, gpus) == steps
    if gpus == 1 and images < 1000:
        loader = torch.utils.data.DataLoader(range(images), **loader)
        assert len(loader) == steps


@pytest.mark.parametrize(
    ('loop', 'expected'),
    [
        (dict(max_epochs=240, val_interval=8), (300240, 30 * 49)),
        (dict(max_epochs=5, val_interval=2), (5 * 1251, 3 * 49)),
        (dict(max_epochs=5), (5 * 1251, 5 * 49)),
        (dict(max_iters=1000, val_interval=300), (1000, 4 * 49)),
    ],
)
def test_a_schedule_counts_training_and_evaluation_steps(loop, expected):
    cfg = Config(
        dict(
            train_cfg=loop, train_dataloader=dict(batch_size=1024, drop_last=True), val_dataloader=dict(batch_size=1024)
        )
    )
    assert schedule(cfg, dict(train=1281167, val=50000)) == expected


@pytest.mark.parametrize(
    ('config', 'shape'),
    [
        ('imagenet/shufflenet_v2_1.0x.py', (2, 3, 224, 224)),
        ('imagenet/shufflenet_v2_torchvision_1.0x.py', (2, 3, 176, 176)),
    ],
)
def test_synthetic_images_have_the_training_size_of_a_classifier(config, shape):
    images, labels = synthetic_batch(Config.fromfile(ROOT / 'configs' / config), 'train', 2)
    assert tuple(images.shape) == shape
    assert tuple(labels.shape) == (2,)


def test_synthetic_images_have_the_size_of_a_detector_and_contain_objects():
    batch = synthetic_batch(Config.fromfile(ROOT / 'configs' / 'faster_rcnn_snv2.py'), 'train', 2)
    assert [tuple(image.shape) for image in batch['inputs']] == [(3, 800, 1067)] * 2  # 480x640 in 800x1333
    boxes = batch['data_samples'][0].gt_instances.bboxes.tensor
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 1067


@pytest.mark.parametrize('kind', ['small_classifier', 'small_config'])
def test_the_images_of_a_data_loader_are_counted(request, kind):
    cfg = Config.fromfile(request.getfixturevalue(kind))
    assert count_images(cfg, 'train') == (72 if kind == 'small_classifier' else 12)


@pytest.mark.parametrize('name', ['faster_rcnn_snv2_shapes', 'nanodet_plus_m_snv2_shapes'])
def test_a_training_step_of_a_detector_is_timed(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.train_dataloader.batch_size = 2
    assert seconds_per_step(cfg, 'train', 'cpu', rounds=1) > 0


@pytest.mark.slow
def test_an_estimate_is_close_to_the_duration_of_the_training(small_classifier, tmp_path):
    cfg = Config.fromfile(small_classifier)
    # Larger images than in the other tests, so that reading them is not as slow as computing.
    cfg.merge_from_dict(
        {
            'train_cfg.max_epochs': 2,
            'train_cfg.val_interval': 2,
            'custom_hooks': [],
            'default_hooks.checkpoint.interval': 9,
        }
    )
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pipeline[0]['size'] = (128, 128)
    steps = schedule(cfg, dict(train=72, val=24))
    estimated = sum(count * seconds_per_step(cfg, split, 'cpu') for split, count in steps._asdict().items())
    cfg.work_dir, cfg.launcher = str(tmp_path), 'none'
    runner = Runner.from_cfg(cfg)
    start = time.perf_counter()
    runner.train()
    assert 1 / 3 < estimated / (time.perf_counter() - start) < 3
