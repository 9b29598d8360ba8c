import cv2
import numpy as np
import pytest
from PIL import Image

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.image_files import read_image


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


def test_a_billion_pixels_are_refused_before_they_are_decoded(tmp_path):
    # The header of a PNG of 40000 x 25000 pixels, and nothing behind it that could be decoded.
    path = tmp_path / 'huge.png'
    Image.new('1', (8, 8)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (40000).to_bytes(4, 'big') + (25000).to_bytes(4, 'big')
    import zlib
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, 'big')
    path.write_bytes(data)
    with pytest.raises(UserError, match='more than 178956970 pixels') as error:
        read_image(path)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(('content', 'words'), [
    (None, 'photo.jpg is missing'), (b'hello', 'truncated or no image'), (b'', 'truncated or no image')])
def test_what_is_no_image_is_refused(tmp_path, content, words):
    path = tmp_path / 'photo.jpg'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_image(path)
