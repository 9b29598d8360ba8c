import json

import cv2
import numpy as np
import pytest
from PIL import Image
from test_sources import clip, photo
from tiny_graph import write

from mmdet_shufflenetv2 import Detector
from mmdet_shufflenetv2.data.layouts.find import read_user_dataset
from mmdet_shufflenetv2.inference.objects import Objects
from mmdet_shufflenetv2.inference.predict import predict
from mmdet_shufflenetv2.inference.savers import FORMATS
from mmdet_shufflenetv2.inference.sources import find_sources

LABELS = {'voc': 'Pascal VOC', 'cvat': 'CVAT', 'labelme': 'LabelMe'}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'd.onnx')
    return tmp_path


def read_back(folder):
    """File name -> its boxes, as ``(class, x1, y1, x2, y2)``, by this project's reader of data sets."""
    data, boxes = read_user_dataset(folder), {}
    for split in data.splits.values():
        names = {category['id']: category['name'] for category in split.annotations['categories']}
        files = {image['id']: image['file_name'].rpartition('/')[2] for image in split.annotations['images']}
        boxes |= {file: boxes.get(file, []) for file in files.values()}
        for one in split.annotations['annotations']:
            x, y, width, height = one['bbox']
            boxes[files[one['image_id']]].append((names[one['category_id']], x, y, x + width, y + height))
    return data, boxes


@pytest.mark.parametrize('name', LABELS)
def test_labels_are_read_again_with_the_same_boxes(here, name):
    rng = np.random.default_rng(0)
    for number in range(4):
        cv2.imwrite(str(here / f'{number} & é.png'), rng.integers(0, 255, (90, 120, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(here / 'turned.jpg', exif=exif)
    sources, expected = find_sources(['.']), {}
    detector = Detector('d.onnx')
    with FORMATS[name][0](here / 'out', sources, detector) as saver:
        for source in sources:
            [frame] = source.frames()
            height, width = frame.image.shape[:2]
            corners = rng.uniform(0, 0.5, (5, 2)) * (width, height)
            boxes = np.concatenate([corners, corners + rng.uniform(2, 40, (5, 2))], axis=1)
            boxes[0] = 0, 0, width, height
            labels = rng.integers(0, 2, 5)
            boxes = np.vstack([boxes, [5, 5, 5.5, 9]])  # of no use to anybody
            saver.write(frame, Objects(boxes, np.full(6, 0.9), np.append(labels, 0), np.full(6, -1)))
            expected[source.given.rpartition('/')[2]] = [
                (detector.classes[label], *box) for label, box in zip(labels, boxes)
            ]
    data, found = read_back(here / 'out' / name)
    assert (data.format, data.classes, found.keys()) == (LABELS[name], detector.classes, expected.keys())
    for file, rows in expected.items():
        assert [row[0] for row in found[file]] == [row[0] for row in rows]
        np.testing.assert_allclose([row[1:] for row in found[file]], [row[1:] for row in rows], atol=0.011)


@pytest.mark.parametrize('name', LABELS)
def test_each_frame_of_a_video_is_an_image_and_no_two_share_a_name(here, name):
    clip(here / 'clip.avi', frames=3)
    photo(here / 'a' / 'clip_000001.png')
    predict('d.onnx', None, ['clip.avi', 'a'], 'out', save=[name])
    _, found = read_back(here / 'out' / name)
    assert found == {
        **{f'clip_{frame}.jpg': [('dog', 0, 0, 64, 48)] for frame in ('000000', '000001_', '000002')},
        'clip_000001.png': [('dog', 0, 0, 8, 6)],
    }


def test_labels_below_the_threshold_are_dropped_but_not_the_image(here):
    photo(here / 'a' / 'x.png')
    predict('d.onnx', None, ['a'], 'out', save=['labelme'], score_thr=0.8)
    assert json.loads((here / 'out' / 'labelme' / 'x.json').read_text())['shapes'] == []
    assert (here / 'out' / 'labelme' / 'x.png').read_bytes() == (here / 'a' / 'x.png').read_bytes()
