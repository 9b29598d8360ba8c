import cv2
import numpy as np
import pytest
import torch
import torchvision
from conftest import ROOT
from mmdet.models import DetDataPreprocessor
from mmdet.registry import DATASETS
from mmengine.config import Config
from PIL import Image

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.models.classification import ImageFolder


def picture(height, width, mode='RGB'):
    rng = np.random.default_rng(height)
    small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def one_picture(tmp_path):
    """A data set of one picture."""
    (tmp_path / 'val' / 'n01440764').mkdir(parents=True)

    def save(image):
        image.save(tmp_path / 'val' / 'n01440764' / '1.png')
        return f'{tmp_path}/'

    return save


def evaluated(config, data_root):
    """What the model of a config sees of the only image."""
    dataset = Config.fromfile(ROOT / 'configs' / 'imagenet' / config).test_dataloader.dataset
    return DATASETS.build(dataset | dict(data_root=data_root))[0][0]


@pytest.mark.parametrize('width', ['0.5', '1.0', '1.5', '2.0'])
@pytest.mark.parametrize('size', [(500, 375), (333, 500), (180, 240), (224, 224), (257, 256)])
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_torchvisions_weights_see_what_torchvision_shows_them(width, size, mode, one_picture):
    image = picture(*size, mode)
    weights = torchvision.models.get_weight(f'ShuffleNet_V2_X{width.replace(".", "_")}_Weights.IMAGENET1K_V1')
    expected = weights.transforms()(image.convert('RGB'))
    assert torch.equal(evaluated(f'shufflenet_v2_torchvision_{width}x.py', one_picture(image)), expected)


@pytest.mark.parametrize('size', [(500, 375), (333, 500), (180, 240), (600, 800)])
def test_the_authors_weights_see_what_their_release_shows_them(size, one_picture):
    image = picture(*size)
    bgr = np.asarray(image)[:, :, ::-1]
    height, width = size
    scale = 256 / min(size)
    resized = cv2.resize(bgr, (int(scale * width + 0.5), int(scale * height + 0.5)), interpolation=cv2.INTER_LINEAR)
    top, left = (round((side - 224) / 2) for side in resized.shape[:2])
    expected = resized[top:top + 224, left:left + 224].transpose(2, 0, 1).astype(np.float32)
    ours = evaluated('shufflenet_v2_1.0x.py', one_picture(image)).numpy()
    # OpenCV rounds the long side where torchvision cuts it off, so a picture may lie a fraction of a pixel aside.
    assert np.abs(ours - expected).mean() < 1
    assert np.abs(ours - expected).max() <= 6


@pytest.mark.parametrize('config', ['shufflenet_v2_1.0x.py', 'shufflenet_v2_torchvision_1.0x.py'])
def test_a_detector_with_the_configs_detector_input_shows_the_same(config, one_picture):
    image = picture(256, 256)  # nothing to resize
    crop = np.asarray(image)[16:240, 16:240, ::-1]  # BGR, as MMDetection loads images
    preprocessor = DetDataPreprocessor(**Config.fromfile(ROOT / 'configs' / 'imagenet' / config).detector_input)
    shown = preprocessor(dict(inputs=[torch.from_numpy(crop.transpose(2, 0, 1).copy())]))['inputs'][0]
    assert torch.allclose(evaluated(config, one_picture(image)), shown, atol=1e-5)


def test_classes_are_numbered_alphabetically(image_folder_root):
    dataset = ImageFolder(str(image_folder_root), 'train', [])
    assert dataset.metainfo == dict(classes=('across', 'down', 'slanted'))
    assert [dataset.targets.count(label) for label in range(3)] == [24, 24, 24]
    assert 'slanted' in dataset.samples[-1][0]


@pytest.mark.parametrize(('make', 'words'), [
    (lambda root: None, ['There is no folder', 'val', '{train,val}/CLASS/*.jpeg', 'data_root=DIR']),
    (lambda root: (root / 'val').mkdir(), ['no class folders in']),
    (lambda root: (root / 'val' / 'cat').mkdir(parents=True), ['val/cat has no image']),
    (lambda root: save(root / 'val' / 'cat', root / 'val' / 'dog'), ['2 class folders', '3 classes', 'num_classes=2']),
])
def test_a_folder_that_does_not_do_is_refused_before_the_run(make, words, tmp_path):
    make(tmp_path)
    with pytest.raises(UserError) as error:
        ImageFolder.prepare(str(tmp_path), 'val', num_classes=3)
    assert all(word in str(error.value) for word in words), error.value


def save(*folders):
    for folder in folders:
        folder.mkdir(parents=True)
        picture(20, 20).save(folder / '1.JPEG')


def test_a_folder_that_does_is_left_alone(image_folder_root):
    ImageFolder.prepare(str(image_folder_root), 'val', num_classes=3)


def test_linked_folders_are_read_once_and_so_is_what_torchvision_does_not_know(tmp_path):
    save(tmp_path / 'val' / 'cat', tmp_path / 'store')
    (tmp_path / 'store' / '1.JPEG').rename(tmp_path / 'store' / '2.jfif')
    (tmp_path / 'val' / 'cat' / 'more').symlink_to(tmp_path / 'store', target_is_directory=True)
    (tmp_path / 'val' / 'cat' / 'loop').symlink_to(tmp_path / 'val', target_is_directory=True)
    (tmp_path / 'val' / 'dog').symlink_to(tmp_path / 'store', target_is_directory=True)
    ImageFolder.prepare(str(tmp_path), 'val', num_classes=2)
    dataset = ImageFolder(str(tmp_path), 'val', [])
    assert dataset.samples == [(str(tmp_path / 'val' / name), label) for name, label in (
        ('cat/1.JPEG', 0), ('cat/more/2.jfif', 0), ('dog/2.jfif', 1))]
    assert [dataset[place][1] for place in range(3)] == [0, 0, 1]


def test_a_truncated_image_is_named(tmp_path):
    save(tmp_path / 'val' / 'cat')
    path = tmp_path / 'val' / 'cat' / '1.JPEG'
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match='1.JPEG is truncated or no image'):
        ImageFolder(str(tmp_path), 'val', [])[0]
