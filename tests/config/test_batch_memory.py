"""``--batch-size auto``: what memory takes, as far as the number of images makes sense of it."""

import pytest
from conftest import ROOT
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.batch_memory import fit_batch_to_memory
from mmdet_shufflenetv2.models import step_memory
from mmdet_shufflenetv2.models.step_memory import images_that_fit


@pytest.fixture(scope='module')
def model_cfg():
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2_shapes.py').model
    cfg.bbox_head.num_classes = 1
    return cfg


@pytest.fixture
def memory(monkeypatch):
    """Sets the available memory; steps on this CPU are measured."""
    return lambda size: monkeypatch.setattr(step_memory, '_available', lambda: size)


def test_batch_size_on_a_cpu_grows_with_free_memory(model_cfg, memory):
    batches = []
    for free in (2**28, 2**40):
        memory(free)
        batches.append(images_that_fit(model_cfg, (128, 128), 64)[0])
    assert 2 <= batches[0] < batches[1] == 64
    assert batches[0] in (2, 4, 8, 16, 32)


def test_batch_size_on_a_gpu_is_the_largest_that_fits(model_cfg, monkeypatch):
    tried = []

    def fits(images):
        tried.append(images)
        return None if images <= 8 else '16 images take more than 3.2 GB'

    monkeypatch.setattr(step_memory, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(step_memory, '_fits_gpu', lambda model, size: fits)
    monkeypatch.setattr('torch.nn.Module.to', lambda self, device: self)
    assert images_that_fit(model_cfg, (64, 64), 64) == (
        8,
        'the largest power of two that fits in memory: 16 images take more than 3.2 GB',
    )
    assert tried[:4] == [2, 4, 8, 16]


def test_too_little_memory_for_two_images_is_an_error(model_cfg, memory):
    memory(0)
    with pytest.raises(UserError, match='image_size'):
        images_that_fit(model_cfg, (64, 64), 64)


@pytest.mark.parametrize(('most', 'asked'), [(8, 8), (None, 1024)])
def test_measures_the_largest_size_and_keeps_an_explicit_learning_rate(monkeypatch, most, asked):
    seen = []
    monkeypatch.setattr(
        'mmdet_shufflenetv2.config.batch_memory.images_that_fit',
        lambda *arguments: seen.append(arguments[1:]) or (4, 'because'),
    )
    cfg = Config.fromfile(ROOT / 'configs' / 'light_head_rcnn_snv2.py')
    notes = fit_batch_to_memory(cfg, 0.01, most)
    assert seen == [((1216, 800), asked)] or seen[0][1] == asked
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.optim_wrapper.optimizer.lr == 0.01
    assert notes['batch'].startswith('because')


def test_rejects_several_processes():
    cfg = Config.fromfile(ROOT / 'configs' / 'nanodet_plus_m_snv2.py')
    cfg.launcher = 'pytorch'
    with pytest.raises(UserError, match='batch_size=auto'):
        fit_batch_to_memory(cfg, None)
