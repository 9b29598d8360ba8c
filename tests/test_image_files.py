import sys
from pathlib import PurePath

import cv2
import numpy as np
import pytest
import tiny_graph
from own_data_layouts import huge_png
from PIL import Image

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.image_files import IMAGE_SUFFIXES, MAX_PIXELS, is_clutter, look_at, look_at_all, read_image


def test_a_billion_pixels_are_refused_by_the_header_alone(tmp_path):
    look = look_at(huge_png(tmp_path / 'huge.png'))
    assert look.kind == 'image_too_large'
    assert str(MAX_PIXELS) in look.fault


def test_a_large_photograph_passes(tmp_path):
    assert look_at_all([huge_png(tmp_path / 'large.png', 13_000, 13_000)]) == [((13_000, 13_000), None, None)]


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_the_size_is_that_which_opencv_reads(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', (40, 30)).save(tmp_path / 'a.jpg', exif=exif)
    height, width = cv2.imread(str(tmp_path / 'a.jpg')).shape[:2]
    assert look_at(tmp_path / 'a.jpg').size == (width, height)


def test_a_strangers_name_can_be_printed(tmp_path):
    fault = look_at(tmp_path / 'a\x1b[31m\ud800.jpg').fault
    assert fault.isprintable()
    fault.encode()


@pytest.mark.parametrize(('path', 'clutter'), [
    ('a.jpg', False), ('train/a.b.jpg', False), ('._a.jpg', True), ('train/.ipynb_checkpoints/a.jpg', True),
    ('__MACOSX/train/a.jpg', True),
])
def test_what_systems_and_editors_leave_in_a_folder_is_known(path, clutter):
    assert is_clutter(PurePath(path)) == clutter


def test_a_folder_is_searched_for_what_torchvision_searches_for():
    from torchvision.datasets.folder import IMG_EXTENSIONS
    assert set(IMAGE_SUFFIXES) == set(IMG_EXTENSIONS)


def test_looks_come_in_the_order_of_the_files(shapes_root):
    paths = sorted((shapes_root / 'train2017').iterdir())
    assert [look.size for look in look_at_all(paths)] == [Image.open(path).size for path in paths]


@pytest.mark.parametrize('content', [b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', b'', b'GIF89a', b'BM123'])
def test_what_opencv_would_not_read_is_no_image(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert look_at(tmp_path / 'a.jpg').kind == 'image_broken'


def test_an_image_is_read_as_opencv_reads_it(tmp_path):
    path = tmp_path / 'größe.png'
    pixels = np.random.default_rng(0).integers(0, 255, (7, 9, 3), np.uint8)
    path.write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    assert (read_image(path) == pixels).all()


def test_an_image_is_turned_as_the_camera_was_held(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    Image.new('RGB', (40, 20)).save(tmp_path / 'photo.jpg', exif=exif)
    assert read_image(tmp_path / 'photo.jpg').shape == (40, 20, 3)


@pytest.mark.parametrize(('content', 'words'), [
    (None, 'photo.jpg is missing'), (b'hello', 'truncated or no image'), (b'', 'truncated or no image'),
    ('huge', 'has more than')])
def test_what_cannot_be_read_is_refused(tmp_path, content, words):
    path = tmp_path / 'photo.jpg'
    if content == 'huge':
        huge_png(path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_image(path)


def test_without_pillow_arrays_are_detected_in_and_files_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'PIL', None)
    monkeypatch.delitem(sys.modules, 'mmdet_shufflenetv2.image_files')
    detector = Detector(tiny_graph.write(tmp_path / 'd.onnx'))
    assert detector(np.zeros((20, 30, 3), np.uint8)).scores.tolist() == [0.75]
    with pytest.raises(UserError, match='Pillow.*pip install pillow'):
        detector('photo.jpg')
