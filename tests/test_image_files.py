import struct
import sys
import zlib
from pathlib import PurePath

import cv2
import mmcv
import numpy as np
import pytest
import tiny_graph
from mmdet.registry import TRANSFORMS
from own_data_layouts import huge_png
from PIL import Image, ImageFile, ImageOps
from PIL.PngImagePlugin import PngInfo

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.inference.sources import find_sources
from mmdet_shufflenetv2.training.fault_tolerance.broken_images import LoadCompleteImage
from mmdet_shufflenetv2.utils.image_decoding import pillow_formats
from mmdet_shufflenetv2.utils.images import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    check_image_file,
    check_image_files,
    files_below,
    is_clutter,
    read_image,
)


def test_rejects_a_billion_pixels_from_the_header(tmp_path):
    look = check_image_file(huge_png(tmp_path / 'huge.png'))
    assert look.kind == 'image_too_large'
    assert str(MAX_PIXELS) in look.fault


def test_accepts_a_large_photograph(tmp_path):
    assert check_image_files([huge_png(tmp_path / 'large.png', 13_000, 13_000)]) == [((13_000, 13_000), None, None)]


def xmp(orientation):
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f'tiff:Orientation="{orientation}"/></rdf:RDF></x:xmpmeta>'
    ).encode()


def turned(path, size, in_exif, in_xmp):
    """An image whose EXIF, which is there in any case, and whose XMP state these orientations."""
    exif = Image.Exif()
    exif[0x010F] = 'Maker'
    if in_exif:
        exif[0x0112] = in_exif
    more = dict(xmp=xmp(in_xmp)) if in_xmp and path.suffix in ('.jpg', '.webp') else {}
    if in_xmp and path.suffix == '.png':
        more['pnginfo'] = PngInfo()
        more['pnginfo'].add_itxt('XML:com.adobe.xmp', xmp(in_xmp).decode())
    Image.new('RGB', size).save(path, exif=exif, **more)


@pytest.mark.parametrize(
    ('backend', 'flag'),
    [
        ('cv2', 'color'),
        ('cv2', 'color_ignore_orientation'),
        ('cv2', 'unchanged'),
        ('pillow', 'color'),
        ('pillow', 'unchanged'),
    ],
)
@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
@pytest.mark.parametrize('size', [(12, 40), (17, 16)])
@pytest.mark.parametrize(('in_exif', 'in_xmp'), [(1, None), (3, None), (6, None), (8, 1), (None, 6), (1, 6)])
def test_size_matches_mmcv(tmp_path, backend, flag, suffix, size, in_exif, in_xmp):
    path = tmp_path / f'a{suffix}'
    turned(path, size, in_exif, in_xmp)
    height, width = mmcv.imread(path, flag, backend=backend).shape[:2]
    assert check_image_file(path, backend, upright=flag == 'color') == ((width, height), None, None)


def with_chunk(content, kind, payload):
    """A PNG with another chunk after its header."""
    return b''.join(
        (
            content[:33],
            struct.pack('>I', len(payload)),
            kind,
            payload,
            struct.pack('>I', zlib.crc32(kind + payload)),
            content[33:],
        )
    )


ODD_CHUNKS = {
    'a color profile of 3 MB': (b'iCCP', b'p\0\0' + zlib.compress(bytes(3 << 20))),
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
def test_metadata_that_only_pillow_rejects_is_accepted(tmp_path, odd):
    path, pixels = odd_png(tmp_path / 'a.png', odd)
    assert check_image_file(path) == ((60, 40), None, None)
    assert (read_image(path) == pixels).all()
    assert (LoadCompleteImage().transform(dict(img_path=str(path)))['img'] == pixels).all()


@pytest.mark.parametrize('odd', ['a color profile of 3 MB', 'a text of 3 MB'])
@pytest.mark.parametrize(
    'damage',
    [
        lambda content: content[:-100],
        lambda content: content[:-12],
        lambda content: content[:60],
        lambda content: content[:-200] + bytes(100) + content[-100:],
    ],
    ids=['cut', 'no end', 'hardly begun', 'zeros within'],
)
def test_invalid_metadata_does_not_hide_truncation(tmp_path, odd, damage):
    path, _ = odd_png(tmp_path / 'a.png', odd)
    assert check_image_file(path, 'pillow').kind == 'image_broken'
    path.write_bytes(damage(path.read_bytes()))
    assert check_image_file(path).kind == 'image_broken'


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp'])
def test_finds_truncation_even_if_pillow_accepts_truncated_images(tmp_path, monkeypatch, suffix):
    path = tmp_path / f'a{suffix}'
    Image.effect_noise((60, 50), 40).convert('RGB').save(path)
    path.write_bytes(path.read_bytes()[:-200])
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
    assert check_image_file(path).kind == check_image_files([path])[0].kind == 'image_broken'
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_unprintable_names_are_escaped(tmp_path):
    fault = check_image_file(tmp_path / 'a\x1b[31m\ud800.jpg').fault
    assert fault.isprintable()
    fault.encode()


@pytest.mark.parametrize(
    ('path', 'clutter'),
    [
        ('a.jpg', False),
        ('train/a.b.jpg', False),
        ('._a.jpg', True),
        ('train/.ipynb_checkpoints/a.jpg', True),
        ('__MACOSX/train/a.jpg', True),
    ],
)
def test_recognizes_clutter_of_systems_and_editors(path, clutter):
    assert is_clutter(PurePath(path)) == clutter


def test_image_suffixes_match_pillow_opencv_and_torchvision(tmp_path):
    from torchvision.datasets.folder import IMG_EXTENSIONS

    known = {
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in ('AVIF', 'BMP', 'GIF', 'HEIF', 'JPEG', 'JPEG2000', 'MPO', 'PNG', 'PPM', 'TIFF', 'WEBP')
    }
    assert set(IMG_EXTENSIONS) <= set(IMAGE_SUFFIXES)
    assert known - set(IMAGE_SUFFIXES) == {'.pfm'}  # floating point, not to be told from an image's range


@pytest.mark.parametrize('suffix', IMAGE_SUFFIXES)
def test_images_of_every_suffix_are_checked_and_read(tmp_path, suffix):
    if suffix == '.gif' and int(cv2.__version__.split('.')[0]) < 5:
        pytest.skip('OpenCV reads GIF from 4.11 on')
    if Image.registered_extensions().get(suffix) is None:
        pytest.skip('not a format of this Pillow')
    image = Image.new({'.pbm': '1', '.pgm': 'L'}.get(suffix, 'RGB'), (40, 20))
    image.save(tmp_path / f'a{suffix}')
    assert check_image_file(tmp_path / f'a{suffix}') == ((40, 20), None, None)
    assert read_image(tmp_path / f'a{suffix}').shape == (20, 40, 3)


SIZE = (60, 40)


def drawn(kind='RGB'):
    """An image whose quarters and channels differ."""
    ramp = np.add.outer(np.arange(SIZE[1]) * 3, np.arange(SIZE[0]) * 2).astype(np.uint8)
    image = Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1))
    return image if kind == 'RGB' else image.convert(kind)


def transparent():
    image = drawn()
    image.putalpha(Image.fromarray(np.tile(np.arange(SIZE[0], dtype=np.uint8) * 4, (SIZE[1], 1))))
    return image


def of_16_bits(path, channels=3):
    pixels = np.asarray(drawn())[..., ::-1].astype(np.uint16) * 256 + 77
    cv2.imwrite(str(path), pixels if channels == 3 else pixels[..., 0])


def quarter_turn(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return dict(exif=exif)


MORE = dict(save_all=True, append_images=[drawn().rotate(180)])
# Each: suffix, how a file of this kind is written, and what Pillow makes of it, unless it is what it opens.
FILES = {
    'JPEG': ('.jpg', lambda path: drawn().save(path)),
    'progressive': ('.jpg', lambda path: drawn().save(path, progressive=True)),
    'gray JPEG': ('.jpg', lambda path: drawn('L').save(path)),
    'CMYK JPEG': ('.jpg', lambda path: drawn('CMYK').save(path, quality=95)),
    'CMYK TIFF': ('.tif', lambda path: drawn('CMYK').save(path)),
    'gray PNG': ('.png', lambda path: drawn('L').save(path)),
    'one bit': ('.png', lambda path: drawn('1').save(path)),
    'alpha': ('.png', lambda path: transparent().save(path)),
    'gray with alpha': ('.png', lambda path: transparent().convert('LA').save(path)),
    'palette': ('.png', lambda path: drawn().quantize(64).save(path)),
    'palette with alpha': ('.png', lambda path: drawn().quantize(64).save(path, transparency=0)),
    '16 bits': ('.png', of_16_bits),
    'gray of 16 bits': ('.png', lambda path: of_16_bits(path, 1)),
    'TIFF of 16 bits': ('.tif', of_16_bits),
    'TIFF of pages': ('.tif', lambda path: drawn().save(path, **MORE)),
    'GIF': ('.gif', lambda path: drawn().quantize(64).save(path)),
    'animated GIF': (
        '.gif',
        lambda path: drawn().quantize(64).save(path, save_all=True, append_images=[drawn().rotate(180).quantize(64)]),
    ),
    'animated PNG': ('.png', lambda path: drawn().save(path, **MORE)),
    'WebP': ('.webp', lambda path: drawn().save(path)),
    'WebP with alpha': ('.webp', lambda path: transparent().save(path, lossless=True, exact=True)),
    'animated WebP': ('.webp', lambda path: drawn().save(path, lossless=True, **MORE)),
    'AVIF': ('.avif', lambda path: drawn().save(path)),
    'AVIF with alpha': ('.avif', lambda path: transparent().save(path)),
    'animated AVIF': ('.avif', lambda path: drawn().save(path, **MORE)),
    'HEIC': ('.heic', lambda path: drawn().save(path)),
    'HEIC in capitals': ('.HEIC', lambda path: drawn().save(path, format='HEIF')),
    **{
        f'{suffix} turned as {number}': (suffix, lambda path, number=number: drawn().save(path, **quarter_turn(number)))
        for suffix in ('.jpg', '.png', '.webp', '.tif', '.avif', '.heic')
        for number in (3, 5, 6, 8)
    },
}


@pytest.mark.parametrize('kind', FILES)
def test_all_readers_return_the_same_pixels(tmp_path, kind):
    suffix, write = FILES[kind]
    if suffix == '.gif' and int(cv2.__version__.split('.')[0]) < 5:
        pytest.skip('OpenCV reads GIF from 4.11 on')
    for name, needed in {'.avif': 'AVIF', '.heic': 'HEIF'}.items():
        if suffix.lower() == name and needed not in pillow_formats():
            pytest.skip(f'Pillow has no {needed} here')
    path = tmp_path / f'a{suffix}'
    write(path)
    if '16 bits' in kind:  # Pillow has no such modes
        expected = np.asarray(drawn()) if 'gray' not in kind else np.asarray(drawn())[..., 2:].repeat(3, -1)
    else:
        with Image.open(path) as image:
            expected = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    exported, given = Detector(tiny_graph.write(tmp_path / 'd.onnx')), []
    exported._detect = lambda images: given.extend(images) or []
    exported([str(path)])
    pixels = {
        'training': TRANSFORMS.build(dict(type='LoadImageFromFile')).transform(dict(img_path=str(path)))['img'],
        'with fault tolerance': LoadCompleteImage().transform(dict(img_path=str(path)))['img'],
        'predict': next(find_sources([path])[0].frames()).image,
        'exported': given[0],
        'figures': mmcv.imread(path),
        'read_image': read_image(path),
    }
    for array in pixels.values():
        assert array.dtype == np.uint8
        assert np.array_equal(array, pixels['training'])
    assert check_image_file(path).size == expected.shape[1::-1]
    # Conversions from CMYK and to full color differ by rounding.
    assert np.abs(pixels['training'].astype(int) - expected[..., ::-1]).mean() < 2


def test_avif_without_orientation_is_read_as_stored(tmp_path):
    if 'AVIF' not in pillow_formats():
        pytest.skip('Pillow has no AVIF here')
    FILES['.avif turned as 6'][1](tmp_path / 'a.avif')
    assert mmcv.imread(tmp_path / 'a.avif', 'color_ignore_orientation').shape == (40, 60, 3)
    assert check_image_file(tmp_path / 'a.avif', upright=False).size == (60, 40)
    assert mmcv.imread(tmp_path / 'a.avif', 'grayscale').shape == (60, 40)
    assert (mmcv.imread(tmp_path / 'a.avif', channel_order='rgb') == mmcv.imread(tmp_path / 'a.avif')[..., ::-1]).all()


@pytest.mark.parametrize('kind', ['AVIF', 'HEIC'])
@pytest.mark.parametrize('kept', [0.3, 0.9])
def test_finds_truncated_avif_and_heic(tmp_path, kind, kept):
    suffix, write = FILES[kind]
    if dict(AVIF='AVIF', HEIC='HEIF')[kind] not in pillow_formats():
        pytest.skip(f'Pillow has no {kind} here')
    path = tmp_path / f'a{suffix}'
    write(path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert check_image_file(path).kind == 'image_broken'


def test_missing_heic_support_is_reported_with_the_package(tmp_path, monkeypatch):
    (tmp_path / 'a.heic').write_bytes(b'\0\0\0\x18ftypheic' + bytes(99))
    monkeypatch.setattr('mmdet_shufflenetv2.utils.images.pillow_formats', lambda: ('JPEG',))
    assert 'pip install pillow-heif' in check_image_file(tmp_path / 'a.heic').fault


def test_rejects_32_bits_per_sample(tmp_path):
    Image.new('F', SIZE).save(tmp_path / 'a.tif')
    look = check_image_file(tmp_path / 'a.tif')
    assert look.kind == 'image_broken'
    assert '8 or 16' in look.fault
    assert check_image_file(tmp_path / 'a.tif', 'pillow').kind is None


def test_linked_folders_are_searched_once_without_loops(tmp_path):
    for name in (
        'a/1.jpg',
        'a/deep/2.JPG',
        'b/3.png',
        'far/4.JFIF',
        'far/deep/5.jpeg',
        'a/.ipynb_checkpoints/1.jpg',
        'a/notes.txt',
        'beside/6.jpg',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'')
    (tmp_path / 'root').mkdir()
    for name in ('a', 'b'):
        (tmp_path / name).rename(tmp_path / 'root' / name)
    for link, target in {
        'root/b/far': 'far',
        'root/a/again': 'far',
        'root/c': 'root/a',
        'root/a/up': 'root',
        'root/a/deep/higher': '.',
        'far/deep/loop': 'far',
    }.items():
        (tmp_path / link).symlink_to(tmp_path / target, target_is_directory=True)
    (tmp_path / 'root' / 'gone.jpg').symlink_to(tmp_path / 'nowhere.jpg')
    found = list(files_below(tmp_path / 'root'))
    assert sorted(path.name for path in found) == ['1.jpg', '2.JPG', '3.png', '4.JFIF', '5.jpeg', 'gone.jpg']
    assert {tmp_path / 'root' / name for name in ('a/1.jpg', 'a/deep/2.JPG', 'b/3.png')} <= set(found)


def test_checks_are_in_the_order_of_the_files(shapes_root):
    paths = sorted((shapes_root / 'train2017').iterdir())
    assert [look.size for look in check_image_files(paths)] == [Image.open(path).size for path in paths]


@pytest.mark.parametrize('content', [b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', b'', b'GIF89a', b'BM123'])
def test_rejects_images_that_opencv_cannot_read(tmp_path, content):
    (tmp_path / 'a.jpg').write_bytes(content)
    assert check_image_file(tmp_path / 'a.jpg').kind == 'image_broken'


def test_read_image_matches_opencv(tmp_path):
    path = tmp_path / 'größe.png'
    pixels = np.random.default_rng(0).integers(0, 255, (7, 9, 3), np.uint8)
    path.write_bytes(cv2.imencode('.png', pixels)[1].tobytes())
    assert (read_image(path) == pixels).all()


def test_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # a quarter turn
    Image.new('RGB', (40, 20)).save(tmp_path / 'photo.jpg', exif=exif)
    assert read_image(tmp_path / 'photo.jpg').shape == (40, 20, 3)


@pytest.mark.parametrize(
    ('content', 'words'),
    [(None, 'photo.jpg is missing'), (b'hello', 'truncated or'), (b'', 'truncated or'), ('huge', 'has more than')],
)
def test_unreadable_files_are_rejected(tmp_path, content, words):
    path = tmp_path / 'photo.jpg'
    if content == 'huge':
        huge_png(path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_image(path)


def test_without_pillow_only_arrays_are_supported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'PIL', None)
    monkeypatch.delitem(sys.modules, 'mmdet_shufflenetv2.utils.images')
    detector = Detector(tiny_graph.write(tmp_path / 'd.onnx'))
    assert detector(np.zeros((20, 30, 3), np.uint8)).scores.tolist() == [0.75]
    with pytest.raises(UserError, match='Pillow.*pip install pillow'):
        detector('photo.jpg')
