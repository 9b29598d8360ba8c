import pytest
import torch

from mmdet_shufflenetv2.models.classification import ImageClassifier


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('backbone.conv1.0.weight', 0.01),
        ('backbone.stage2.1.branch_main.0.weight', 1 / 58),
        ('backbone.stage2.1.branch_main.3.weight', 1),  # depthwise: one input channel per group
        ('backbone.conv5.0.weight', 1 / 464),
        ('fc.weight', 0.01),
    ],
)
def test_weights_have_the_standard_deviation_of_the_release(name, expected):
    torch.manual_seed(0)
    classifier = ImageClassifier(
        dict(type='ShuffleNetV2', out_indices=(4,), variant='authors'), init_cfg=dict(type='AuthorsInit')
    )
    classifier.init_weights()
    weight = classifier.get_parameter(name).detach()
    assert weight.std() == pytest.approx(expected, rel=0.15)
    assert weight.mean().abs() < 0.1 * expected
    assert torch.equal(classifier.backbone.conv1[1].bias, torch.full((24,), 0.0001))
