"""Classifiers of other code bases give the same scores here, and the losses equal their definitions."""

import json
from pathlib import Path

import pytest
import torch
import torchvision
from torch.nn import functional as F

from mmdet_shufflenetv2 import ShuffleNetV2, UserError
from mmdet_shufflenetv2.models.classification import ImageClassifier

LAYOUT_KEYS = json.loads((Path(__file__).parents[2] / 'data' / 'layout_keys.json').read_text())
BACKBONE = dict(type='ShuffleNetV2', widen_factor=0.5, out_indices=(4,))


def reference():
    torch.manual_seed(1)
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=1000)
    for name, tensor in model.state_dict().items():
        if name.endswith(('running_mean', 'running_var')):
            tensor.uniform_(0.2, 1)
    return model.eval()


def state_dict_in(layout, model):
    ours = model.state_dict()
    return ours if layout == 'torchvision' else dict(zip(LAYOUT_KEYS[layout], ours.values()))


@pytest.mark.parametrize('width', ['0_5', '1_0', '1_5', '2_0'])
def test_torchvisions_classifier_gives_the_same_scores(width):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, f'shufflenet_v2_x{width}')().eval()
    ours = ImageClassifier(BACKBONE | dict(widen_factor=float(width.replace('_', '.')))).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize('layout', ['torchvision', 'mmpretrain', 'ericsun99'])
@pytest.mark.parametrize('wrapper', ['', 'module.', 'module.module.', '_orig_mod.'])
def test_complete_classifiers_load_in_every_layout(layout, wrapper):
    theirs = reference()
    weights = {wrapper + key: tensor for key, tensor in state_dict_in(layout, theirs).items()}
    ours = ImageClassifier(BACKBONE).eval()
    ours.load_state_dict(weights)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(images), theirs(images))
    assert all(key.startswith(wrapper) for key in weights)  # the caller's dict is unchanged


def test_mmpretrain_checkpoints_with_a_backbone_prefix_load():
    theirs = reference()
    weights = {
        key if key.startswith('head.') else f'backbone.{key}': tensor
        for key, tensor in state_dict_in('mmpretrain', theirs).items()
    }
    ours = ImageClassifier(BACKBONE)
    ours.load_state_dict(weights)
    assert torch.equal(ours.fc.weight, theirs.fc.weight)
    assert torch.equal(ours.backbone.conv1[0].weight, theirs.conv1[0].weight)


def test_complete_classifiers_of_the_authors_release_load():
    torch.manual_seed(0)
    backbone = ShuffleNetV2(widen_factor=0.5, out_indices=(4,), variant='authors').eval()
    firsts = dict(stage2=0, stage3=4, stage4=12)
    released = {}
    for key, tensor in backbone.state_dict().items():
        part, rest = key.split('.', 1)
        if part in firsts:
            unit, rest = rest.split('.', 1)
            part = f'features.{firsts[part] + int(unit)}'
        released[f'module.{dict(conv1="first_conv", conv5="conv_last").get(part, part)}.{rest}'] = tensor
    released['module.classifier.0.weight'] = torch.randn(1000, 1024)
    ours = ImageClassifier(BACKBONE | dict(variant='authors'), fc_bias=False).eval()
    ours.load_state_dict(released)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = F.adaptive_avg_pool2d(backbone(images)[0], 1).flatten(1) @ released['module.classifier.0.weight'].T
        assert torch.allclose(ours(images), expected, atol=1e-6)


@pytest.mark.parametrize('star', [False, True])
def test_its_checkpoint_initializes_a_detectors_backbone(star, tmp_path):
    backbone = BACKBONE | dict(variant='authors', large_receptive_field=star)
    classifier = ImageClassifier(backbone, num_classes=10)
    torch.save({'state_dict': classifier.state_dict(), 'meta': {}}, tmp_path / 'epoch_1.pth')
    started = ShuffleNetV2(
        widen_factor=0.5,
        variant='authors',
        large_receptive_field=star,
        strides=(2, 2, 1),
        dilations=(1, 1, 2),
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'epoch_1.pth')),
    )
    started.init_weights()
    expected = classifier.backbone.state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in started.state_dict().items())


@pytest.mark.parametrize(
    ('weights', 'words'),
    [
        (lambda: torchvision.models.shufflenet_v2_x1_0().state_dict(), ['(116, 232, 464)', '(48, 96, 192)']),
        (lambda: reference().state_dict() | {'neck.weight': torch.ones(1)}, ['neck.weight']),
    ],
)
def test_weights_of_another_network_are_rejected(weights, words):
    with pytest.raises(UserError) as error:
        ImageClassifier(BACKBONE).load_state_dict(weights())
    assert all(word in str(error.value) for word in words), error.value


def test_weights_without_a_classifier_are_rejected():
    backbone_only = {key: tensor for key, tensor in reference().state_dict().items() if not key.startswith('fc.')}
    with pytest.raises(RuntimeError, match='fc.weight'):
        ImageClassifier(BACKBONE).load_state_dict(backbone_only)


def test_the_loss_is_the_smoothed_cross_entropy():
    torch.manual_seed(0)
    classifier = ImageClassifier(BACKBONE, num_classes=5, label_smoothing=0.1).eval()
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 4, 2, 2])
    # The formula of megvii-model/ShuffleNet-Series.
    target = 0.9 * F.one_hot(labels, 5) + 0.1 / 5
    expected = (-target * classifier(images).log_softmax(1)).sum(1).mean()
    assert torch.allclose(classifier(images, labels, mode='loss')['loss'], expected)


def test_the_loss_needs_labels():
    with pytest.raises(ValueError, match='labels'):
        ImageClassifier(BACKBONE, num_classes=5)(torch.randn(2, 3, 32, 32), mode='loss')


def test_mixup_and_cutmix_are_for_training_only(monkeypatch):
    torch.manual_seed(0)
    classifier = ImageClassifier(BACKBONE, num_classes=5, mixup_alpha=0.2, cutmix_alpha=1.0)
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 4, 2, 2])
    targets = []
    monkeypatch.setattr(F, 'cross_entropy', lambda logits, target, **_: targets.append(target) or logits.sum())
    for _ in range(20):
        classifier(images, labels, mode='loss')
    assert {tuple(target.shape) for target in targets} == {(4, 5)}
    assert all(torch.allclose(target.sum(1), torch.ones(4)) for target in targets)
    assert torch.equal(classifier(images, labels, mode='predict')[1], labels)


def test_dropout_is_for_training_only():
    classifier = ImageClassifier(BACKBONE, num_classes=5, dropout=0.5)
    images = torch.randn(2, 3, 32, 32)
    assert not torch.equal(classifier(images), classifier(images))
    classifier.eval()
    assert torch.equal(classifier(images), classifier(images))
