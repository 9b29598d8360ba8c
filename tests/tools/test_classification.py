"""tools/train.py and test.py on class folders, and their figures against a plain torchvision loop."""

import json
import re

import pytest
import torch
import torchvision
from conftest import ROOT
from test_bad_input import assert_refused
from torch.utils.data import DataLoader

TORCHVISION = ROOT / 'configs' / 'imagenet' / 'shufflenet_v2_torchvision_0.5x.py'


@pytest.fixture(scope='module')
def trained(small_classifier, tmp_path_factory):
    from mmdet_shufflenetv2.training.train import train

    return train(small_classifier, work_dir=str(tmp_path_factory.mktemp('runs') / 'stripes'))


def test_a_classifier_learns_its_classes(tool, trained, small_classifier, tmp_path):
    ended = tool('test.py', small_classifier, trained['checkpoint'], '--work-dir', tmp_path)
    assert ended.status == 0, ended.err
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert metrics['accuracy/top1'] >= 90  # by chance: 33
    assert f'accuracy/top1 {metrics["accuracy/top1"]:.4g}, accuracy/top5 100' in ended.out
    assert trained['checkpoint'].name == 'epoch_16.pth'
    assert trained['curves'].is_file()


@pytest.fixture(scope='module')
def twelve_classes(image_folder_root, tmp_path_factory):
    """The stripes' validation images again, two per class."""
    root = tmp_path_factory.mktemp('data') / 'twelve'
    for number, path in enumerate(sorted(image_folder_root.glob('val/*/*.jpeg'))):
        folder = root / 'val' / f'class_{number % 12:02d}'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{number}.jpeg').symlink_to(path)
    return root


@pytest.mark.parametrize('width', [0.5, 1.5])
def test_evaluation_equals_a_plain_torchvision_loop(tool, twelve_classes, tmp_path, width):
    name = str(width).replace('.', '_')
    transform = torchvision.models.get_weight(f'ShuffleNet_V2_X{name}_Weights.IMAGENET1K_V1').transforms()
    data = torchvision.datasets.ImageFolder(twelve_classes / 'val', transform)
    torch.manual_seed(3)
    model = getattr(torchvision.models, f'shufflenet_v2_x{name}')(num_classes=12).eval()
    with torch.no_grad():
        logits = torch.cat([model(images) for images, _ in DataLoader(data, batch_size=8)])
        model.fc.bias -= logits.mean(0)  # without training, one class would win everywhere
        logits = logits - logits.mean(0)
    torch.save(model.state_dict(), tmp_path / 'published.pth')
    right = {k: sum(target in row.topk(k).indices for row, target in zip(logits, data.targets)) for k in (1, 5)}
    assert 0 < right[1] < right[5] < len(data)
    ended = tool(
        'test.py',
        str(TORCHVISION).replace('0.5', str(width)),
        tmp_path / 'published.pth',
        '--work-dir',
        tmp_path,
        '--data-root',
        twelve_classes,
        '--cfg-options',
        'model.num_classes=12',
        'test_dataloader.num_workers=0',
        'test_dataloader.persistent_workers=False',
    )
    assert ended.status == 0, ended.err
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert [metrics[f'accuracy/top{k}'] for k in (1, 5)] == pytest.approx([100 * right[k] / len(data) for k in (1, 5)])


def test_a_trained_classifier_starts_a_detector(tool, trained, small_config, tmp_path):
    ended = tool(
        'train.py',
        small_config,
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'train_cfg.max_epochs=1',
        'model.backbone.variant=authors',
        'model.backbone.init_cfg.type=Pretrained',
        f'model.backbone.init_cfg.checkpoint={trained["checkpoint"]}',
    )
    assert ended.status == 0, ended.err
    assert re.search(r'taken from backbone\.\*, not from fc', ended.out)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--out', 'results.json'], ['--out', 'not a detector: ImageClassifier']),
        (['--tta'], ['--tta', 'not a detector']),
        (['--show-dir', 'figures'], ['--show-dir', 'not a detector']),
        (['--data-root', ROOT], ['Folder not found', 'val', '{train,val}/CLASS/*.jpeg']),
        (['--cfg-options', 'model.num_classes=1000'], ['3 class folders', '1000 classes', 'model.num_classes=3']),
        (['--cfg-options', 'model.backbone.widen_factor=1.0'], ['another width', '(48, 96, 192)', '(116, 232, 464)']),
        (['--cfg-options', 'model.backbone.variant=torchvision'], ["'authors' variant", "'torchvision' one"]),
        (['--cfg-options', 'test_dataloader.dataset.pipeline.0.type=torchvision/Rezise'], ['torchvision/Rezise']),
    ],
)
def test_rejects_options_for_detectors(tool, trained, small_classifier, arguments, words, tmp_path):
    assert_refused(tool('test.py', small_classifier, trained['checkpoint'], '--work-dir', tmp_path, *arguments), *words)


def test_rejects_drawing_boxes_of_a_classifier(tool, trained, small_classifier, image_folder_root, tmp_path):
    assert_refused(
        tool(
            'infer.py',
            small_classifier,
            trained['checkpoint'],
            image_folder_root / 'val' / 'down',
            '--out-dir',
            tmp_path,
        ),
        'for detectors',
        'ImageClassifier',
    )
