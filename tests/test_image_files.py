import struct
import sys
import zlib
from pathlib import PurePath

import cv2
import mmcv
import numpy as np
import pytest
import tiny_graph
from own_data_layouts import huge_png
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.training.fault_tolerance.broken_images import LoadCompleteImage
from mmdet_shufflenetv2.utils.images import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    check_image_file,
    check_image_files,
    files_below,
    is_clutter,
    read_image,
)


def test_a_billion_pixels_are_refused_by_the_header_alone(tmp_path):
    look = check_image_file(huge_png(tmp_path / 'huge.png'))
    assert look.kind == 'image_too_large'
    assert str(MAX_PIXELS) in look.fault


def test_a_large_photograph_passes(tmp_path):
    assert check_image_files([huge_png(tmp_path / 'large.png', 13_000, 13_000)]) == [((13_000, 13_000), None, None)]


def xmp(orientation):
    return (f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
            f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>').encode()


def turned(path, size, in_exif, in_xmp):
    """An image whose EXIF, which is there in any case, and whose XMP state these orientations."""
    exif = Image.Exif()
    exif[0x010f] = 'Maker'
    if in_exif:
        exif[0x0112] = in_exif
    more = dict(xmp=xmp(in_xmp)) if in_xmp and path.suffix in ('.jpg', '.webp') else {}
    if in_xmp and path.suffix == '.png':
        more['pnginfo'] = PngInfo()
        more['pnginfo'].add_itxt('XML:com.adobe.xmp', xmp(in_xmp).decode())
    Image.new('RGB', size).save(path, exif=exif, **more)


@pytest.mark.parametrize(('backend', 'flag'), [
    ('cv2', 'color'), ('cv2', 'color_ignore_orientation'), ('cv2', 'unchanged'), ('pillow', 'color'),
    ('pillow', 'unchanged')])
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
@pytest.mark.parametrize('size', [(12, 40), (17, 16)])
@pytest.mark.parametrize(('in_exif', 'in_xmp'), [(1, None), (3, None), (6, None), (8, 1), (None, 6), (1, 6)])
def test_the_size_is_that_which_mmcv_decodes(tmp_path, backend, flag, suffix, size, in_exif, in_xmp):
    path = tmp_path / f'a{suffix}'
    turned(path, size, in_exif, in_xmp)
    height, width = mmcv.imread(path, flag, backend=backend).shape[:2]
    assert check_image_file(path, backend, upright=flag == 'color') == ((width, height), None, None)


def with_chunk(content, kind, payload):
    """A PNG with another chunk behind its header."""
    return b''.join((content[:33], struct.pack('>I', len(payload)), kind, payload,
                     struct.pack('>I', zlib.crc32(kind + payload)), content[33:]))


ODD_CHUNKS = {
    'a colour profile of 3 MB': (b'iCCP', b'p\0\0' + zlib.compress(bytes(3 << 20))),
    'a text of 3 MB': (b'zTXt', b'k\0\0' + zlib.compress(bytes(3 << 20))),
    'EXIF that ends early': (b'eXIf', b'\0\x08\0\x02\x01\x12\0\x03' * 3),
    'a date of the wrong length': (b'tIME', b'12'),
}


def odd_png(path, odd):
    """A PNG with such a chunk, and its pixels."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    path.write_bytes(with_chunk(cv2.imencode('.png', pixels)[1].tobytes(), *ODD_CHUNKS[odd]))
    return path, pixels


@pytest.mark.parametrize('odd', ODD_CHUNKS)
def test_metadata_that_only_pillow_refuses_do_not_make_an_image_broken(tmp_path, odd):
    path, pixels = odd_png(tmp_path / 'a.png', odd)
    assert check_image_file(path) == ((60, 40), None, None)
    assert (read_image(path) == pixels).all()
    assert (LoadCompleteImage().transform(dict(img_path=str(path)))['img'] == pixels).all()


@pytest.mark.parametrize('odd', ['a colour profile of 3 MB', 'a text of 3 MB'])
@pytest.mark.parametrize('damage', [
    lambda content: content[:-100], lambda content: content[:-12], lambda content: content[:60],
    lambda content: content[:-200] + bytes(100) + content[-100:],
], ids=['cut', 'no end', 'hardly begun', 'zeros within'])
def test_they_do_not_hide_that_it_is_truncated_nor_make_it_fit_for_pillow(tmp_path, odd, damage):
    path, _ = odd_png(tmp_path / 'a.png', odd)
    assert check_image_file(path, 'pillow').kind == 'image_broken'
    path.write_bytes(damage(path.read_bytes()))
    assert check_image_file(path).kind == 'image_broken'


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp'])
def test_a_truncated_image_is_found_where_pillow_was_told_to_accept_it(tmp_path, monkeypatch, suffix):
    path = tmp_path / f'a{suffix}'
    Image.effect_noise((60, 50), 40).convert('RGB').save(path)
    path.write_bytes(path.read_bytes()[:-200])
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
    assert check_image_file(path).kind == check_image_files([path])[0].kind == 'image_broken'
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_strangers_name_can_be_printed(tmp_path):
    fault = check_image_file(tmp_path / 'a\x1b[31m\ud800.jpg').fault
    assert fault.isprintable()
    fault.encode()


@pytest.mark.parametrize(('path', 'clutter'), [
    ('a.jpg', False), ('train/a.b.jpg', False), ('._a.jpg', True), ('train/.ipynb_checkpoints/a.jpg', True),
    ('__MACOSX/train/a.jpg', True),
])
def test_what_systems_and_editors_leave_in_a_folder_is_known(path, clutter):
    assert is_clutter(PurePath(path)) == clutter


def test_a_folder_is_searched_for_what_pillow_and_opencv_read_and_for_what_torchvision_does(tmp_path):
    from torchvision.datasets.folder import IMG_EXTENSIONS
    known = {suffix for suffix, kind in Image.registered_extensions().items()
             if kind in ('BMP', 'GIF', 'JPEG', 'JPEG2000', 'MPO', 'PNG', 'PPM', 'TIFF', 'WEBP')}
    assert set(IMG_EXTENSIONS) <= set(IMAGE_SUFFIXES)
    assert known - set(IMAGE_SUFFIXES) == {'.pfm'}  # floating point, not to be told from an image's range


@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_an_image_of_every_suffix_is_looked_at_and_read(tmp_path, suffix):
    if suffix == '.gif' and int(cv2.__version__.split('.')[0]) < 5:
        pytest.skip('OpenCV reads GIF from 4.11 on')
    image = Image.new({'.pbm': '1', '.pgm': 'L'}.get(suffix, 'RGB'), (40, 20))
    image.save(tmp_path / f'a{suffix}')
    assert check_image_file(tmp_path / f'a{suffix}') == ((40, 20), None, None)
    assert read_image(tmp_path / f'a{suffix}').shape == (20, 40, 3)


def test_linked_folders_are_searched_once_and_loops_not_at_all(tmp_path):
    for name in ('a/1.jpg', 'a/deep/2.JPG', 'b/3.png', 'far/4.JFIF', 'far/deep/5.jpeg', 'a/.ipynb_checkpoints/1.jpg',
                 'a/notes.txt', 'beside/6.jpg'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'root').mkdir()
    for name in ('a', 'b'):
        (tmp_path / name).rename(tmp_path / 'root' / name)
    for link, target in {'root/b/far': 'far', 'root/a/again': 'far', 'root/c': 'root/a', 'root/a/up': 'root',
                         'root/a/deep/higher': '.', 'far/deep/loop': 'far'}.items():
        (tmp_path / link).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / 'root' / 'gone.jpg').symlink_to(tmp_path / 'nowhere.jpg')
    found = list(files_below(tmp_path / 'root'))
    assert sorted(path.name for path in found) == ['1.jpg', '2.JPG', '3.png', '4.JFIF', '5.jpeg', 'gone.jpg']
    assert {tmp_path / 'root' / name for name in ('a/1.jpg', 'a/deep/2.JPG', 'b/3.png')} <= set(found)


def test_looks_come_in_the_order_of_the_files(shapes_root):
    paths = sorted((shapes_root / 'train2017').iterdir())
    assert [look.size for look in check_image_files(paths)] == [Image.open(path).size for path in paths]


@pytest.mark.parametrize('content', [b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', b'', b'GIF89a', b'BM123'])
def test_what_opencv_would_not_read_is_no_image(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert check_image_file(tmp_path / 'a.jpg').kind == 'image_broken'


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
    (None, 'photo.jpg is missing'), (b'hello', 'truncated or'), (b'', 'truncated or'),
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
    monkeypatch.delitem(sys.modules, 'mmdet_shufflenetv2.utils.images')
    detector = Detector(tiny_graph.write(tmp_path / 'd.onnx'))
    assert detector(np.zeros((20, 30, 3), np.uint8)).scores.tolist() == [0.75]
    with pytest.raises(UserError, match='Pillow.*pip install pillow'):
        detector('photo.jpg')
