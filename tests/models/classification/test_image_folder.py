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


def random_image(height, width, mode='RGB'):
    rng = np.random.default_rng(height)
    small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.fixture
def save_dataset(tmp_path):
    """Save one image as a dataset."""
    (tmp_path / 'val' / 'n01440764').mkdir(parents=True)

    def save(image):
        image.save(tmp_path / 'val' / 'n01440764' / '1.png')
        return f'{tmp_path}/'

    return save


def model_input(config, data_root):
    """The model input of the only image."""
    dataset = Config.fromfile(ROOT / 'configs' / 'imagenet' / config).test_dataloader.dataset
    return DATASETS.build(dataset | dict(data_root=data_root))[0][0]


@pytest.mark.parametrize('width', ['0.5', '1.0', '1.5', '2.0'])
@pytest.mark.parametrize('size', [(500, 375), (333, 500), (180, 240), (224, 224), (257, 256)])
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_inputs_for_torchvisions_weights_equal_torchvision(width, size, mode, save_dataset):
    image = random_image(*size, mode)
    weights = torchvision.models.get_weight(f'ShuffleNet_V2_X{width.replace(".", "_")}_Weights.IMAGENET1K_V1')
    expected = weights.transforms()(image.convert('RGB'))
    assert torch.equal(model_input(f'shufflenet_v2_torchvision_{width}x.py', save_dataset(image)), expected)


@pytest.mark.parametrize('size', [(500, 375), (333, 500), (180, 240), (600, 800)])
def test_inputs_for_the_authors_weights_equal_their_release(size, save_dataset):
    image = random_image(*size)
    bgr = np.asarray(image)[:, :, ::-1]
    height, width = size
    scale = 256 / min(size)
    resized = cv2.resize(bgr, (int(scale * width + 0.5), int(scale * height + 0.5)), interpolation=cv2.INTER_LINEAR)
    top, left = (round((side - 224) / 2) for side in resized.shape[:2])
    expected = resized[top : top + 224, left : left + 224].transpose(2, 0, 1).astype(np.float32)
    ours = model_input('shufflenet_v2_1.0x.py', save_dataset(image)).numpy()
    # OpenCV rounds the long side, torchvision rounds it down, so the image may be shifted by a fraction of a pixel.
    assert np.abs(ours - expected).mean() < 1
    assert np.abs(ours - expected).max() <= 6


@pytest.mark.parametrize('config', ['shufflenet_v2_1.0x.py', 'shufflenet_v2_torchvision_1.0x.py'])
def test_a_detector_with_the_configs_detector_input_has_the_same_input(config, save_dataset):
    image = random_image(256, 256)  # needs no resizing
    crop = np.asarray(image)[16:240, 16:240, ::-1]  # BGR, as MMDetection loads images
    preprocessor = DetDataPreprocessor(**Config.fromfile(ROOT / 'configs' / 'imagenet' / config).detector_input)
    expected = preprocessor(dict(inputs=[torch.from_numpy(crop.transpose(2, 0, 1).copy())]))['inputs'][0]
    assert torch.allclose(model_input(config, save_dataset(image)), expected, atol=1e-5)


def test_classes_are_in_alphabetical_order(image_folder_root):
    dataset = ImageFolder(str(image_folder_root), 'train', [])
    assert dataset.metainfo == dict(classes=('across', 'down', 'slanted'))
    assert [dataset.targets.count(label) for label in range(3)] == [24, 24, 24]
    assert 'slanted' in dataset.samples[-1][0]


@pytest.mark.parametrize(
    ('make', 'words'),
    [
        (lambda root: None, ['Folder not found', 'val', '{train,val}/CLASS/*.jpeg', 'data_root=DIR']),
        (lambda root: (root / 'val').mkdir(), ['No class folders', 'val']),
        (lambda root: (root / 'val' / 'cat').mkdir(parents=True), ['val/cat', '.jpeg']),
        (
            lambda root: save(root / 'val' / 'cat', root / 'val' / 'dog'),
            ['2 class folders', '3 classes', 'num_classes=2'],
        ),
    ],
)
def test_an_invalid_folder_is_rejected_before_the_run(make, words, tmp_path):
    make(tmp_path)
    with pytest.raises(UserError) as error:
        ImageFolder.prepare(str(tmp_path), 'val', num_classes=3)
    assert all(word in str(error.value) for word in words), error.value


def save(*folders):
    for folder in folders:
        folder.mkdir(parents=True)
        random_image(20, 20).save(folder / '1.JPEG')


def test_a_valid_folder_is_accepted(image_folder_root):
    ImageFolder.prepare(str(image_folder_root), 'val', num_classes=3)


def test_linked_folders_and_more_file_extensions_than_torchvisions_are_read(tmp_path):
    save(tmp_path / 'val' / 'cat', tmp_path / 'store')
    (tmp_path / 'store' / '1.JPEG').rename(tmp_path / 'store' / '2.jfif')
    (tmp_path / 'val' / 'cat' / 'more').symlink_to(tmp_path / 'store', target_is_directory=True)
    (tmp_path / 'val' / 'cat' / 'loop').symlink_to(tmp_path / 'val', target_is_directory=True)
    (tmp_path / 'val' / 'dog').symlink_to(tmp_path / 'store', target_is_directory=True)
    ImageFolder.prepare(str(tmp_path), 'val', num_classes=2)
    dataset = ImageFolder(str(tmp_path), 'val', [])
    assert dataset.samples == [
        (str(tmp_path / 'val' / name), label)
        for name, label in (('cat/1.JPEG', 0), ('cat/more/2.jfif', 0), ('dog/2.jfif', 1))
    ]
    assert [dataset[index][1] for index in range(3)] == [0, 0, 1]


def test_the_error_for_a_truncated_image_contains_its_path(tmp_path):
    save(tmp_path / 'val' / 'cat')
    path = tmp_path / 'val' / 'cat' / '1.JPEG'
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r'cat.1\.JPEG'):
        ImageFolder(str(tmp_path), 'val', [])[0]
