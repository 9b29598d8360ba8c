import logging
from types import SimpleNamespace

import pytest
import torch

from mmdet_shufflenetv2.models.classification import ImageClassifier, NormStatisticsHook


def runner(model, batches, epoch, max_epochs=3):
    return SimpleNamespace(
        model=model, train_dataloader=batches, epoch=epoch, max_epochs=max_epochs, logger=logging.getLogger()
    )


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return ImageClassifier(dict(type='ShuffleNetV2', widen_factor=0.5, out_indices=(4,)), num_classes=3)


def test_statistics_are_the_mean_over_the_batches(classifier):
    batches = [[torch.randn(4, 3, 32, 32), torch.zeros(4)] for _ in range(5)]
    NormStatisticsHook(num_batches=3).after_train_epoch(runner(classifier, batches, epoch=2))
    conv, norm = classifier.backbone.conv1[:2]
    with torch.no_grad():
        outputs = [conv(images).transpose(0, 1).flatten(1) for images, _ in batches[:3]]
    assert torch.allclose(norm.running_mean, torch.stack([x.mean(1) for x in outputs]).mean(0), atol=1e-6)
    assert torch.allclose(norm.running_var, torch.stack([x.var(1) for x in outputs]).mean(0), atol=1e-6)
    assert norm.momentum == 0.1


def test_statistics_only_change_after_the_last_epoch(classifier):
    before = {key: tensor.clone() for key, tensor in classifier.state_dict().items()}
    batches = [[torch.randn(4, 3, 32, 32), torch.zeros(4)]]
    NormStatisticsHook(num_batches=1).after_train_epoch(runner(classifier, batches, epoch=1))
    assert all(torch.equal(tensor, before[key]) for key, tensor in classifier.state_dict().items())
