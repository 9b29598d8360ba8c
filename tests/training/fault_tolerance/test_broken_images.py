"""Images that become unreadable during a run."""

import shutil

import cv2
import numpy as np
import pytest

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.fault_tolerance import BROKEN_IMAGES
from mmdet_shufflenetv2.training.fault_tolerance.broken_images import LoadCompleteImage
from mmdet_shufflenetv2.training.train import train
from mmdet_shufflenetv2.utils.errors import BrokenImageError


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / 'image.jpg'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    return path


def test_valid_image_is_loaded_as_by_load_image_from_file(image_file):
    results = LoadCompleteImage().transform(dict(img_path=str(image_file)))
    np.testing.assert_array_equal(results['img'], cv2.imread(str(image_file)))


@pytest.mark.parametrize(
    'damage',
    [
        cut,
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b''),
        lambda path: path.write_text('no image'),
        lambda path: path.write_bytes(bytes([*path.read_bytes()[:20], *bytes(500), 0xFF, 0xD9])),
    ],
    ids=['cut', 'missing', 'empty', 'text', 'zeros within'],
)
def test_broken_image_is_reported(image_file, damage):
    damage(image_file)
    with pytest.raises(BrokenImageError, match=r'^.*image\.jpg '):
        LoadCompleteImage().transform(dict(img_path=str(image_file)))


@pytest.fixture
def data(shapes_root, tmp_path):
    return shutil.copytree(shapes_root, tmp_path / 'data')


def plain_coco(data):
    return f"""
_plain = dict(type='CocoDataset', data_root='{data}/', metainfo=dict(classes=(
    'circle', 'square', 'triangle', 'star', 'cross')), ann_file='annotations/instances_train2017.json',
    data_prefix=dict(img='train2017/'), _delete_=True, pipeline=_shuffled['pipeline'])
train_dataloader = dict(dataset=_plain)
"""


@pytest.mark.parametrize('workers', [0, 2])
def test_broken_image_is_skipped_and_reported_once(random_config, data, tmp_path, capfd, workers):
    cut(data / 'train2017' / '000000000003.jpg')
    train(random_config(more=plain_coco(data), workers=workers), work_dir=str(tmp_path / 'run'))
    out = capfd.readouterr()
    assert 'warning: 1 of 12 images cannot be read and are not used for training' in out.err
    assert out.out.count('Broken image 1 of at most 10') == 1
    assert '000000000003.jpg' in (tmp_path / 'run' / BROKEN_IMAGES).read_text()
    assert (tmp_path / 'run' / 'epoch_2.pth').is_file()


def test_too_many_broken_images_end_the_run(random_config, data, tmp_path):
    for number in (3, 4, 5):
        cut(data / 'train2017' / f'00000000000{number}.jpg')
    # The check before the run would refuse them: they broke after it.
    config = random_config(more=plain_coco(data))
    from mmdet_shufflenetv2.training import train as training

    check, training.prepare_data = training.prepare_data, lambda *args, **kwargs: None
    try:
        with pytest.raises(UserError) as raised:
            train(config, work_dir=str(tmp_path / 'run'), max_broken_images=2)
    finally:
        training.prepare_data = check
    assert all(f'00000000000{number}.jpg' in str(raised.value) for number in (3, 4, 5))
    assert 'max_broken_images=' in str(raised.value)
