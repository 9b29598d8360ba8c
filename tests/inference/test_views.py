from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from conftest import SHARED, needs_shared
from torchvision.ops import batched_nms, box_iou

from mmdet_shufflenetv2 import Detector, UserError
from mmdet_shufflenetv2.deploy.exported import Detections
from mmdet_shufflenetv2.inference.views import Views, merge

WEIGHTS = SHARED / 'weights' / 'nanodet_m_320.pth'


def draw(boxes, labels, size):
    """Filled rectangles on black, in the color of their class."""
    image = np.zeros((*size, 3), np.uint8)
    for (x1, y1, x2, y2), label in zip(boxes, labels):
        image[y1:y2, x1:x2, label] = 255
    return image


def see(images, blind_above=10_000):
    """A perfect detector of these rectangles and parts of them, without detections in larger images."""
    found = []
    for image in images:
        rows = [
            (x, y, x + width, y + height, min(1, 0.5 + area / 1e6), label)
            for label in (0, 1)
            for x, y, width, height, area in cv2.connectedComponentsWithStats(image[..., label])[2][1:]
            if max(image.shape) <= blind_above
        ]
        table = np.array(rows, np.float32).reshape(-1, 6)
        found.append(Detections(table[:, :4], table[:, 4], table[:, 5].astype(int)))
    return found


def scattered(seed, size, largest):
    """Rectangles that do not touch one another, 5 pixels to ``largest`` long, and their classes."""
    rng = np.random.default_rng(seed)
    taken, boxes = np.zeros(size, bool), []
    for _ in range(150):
        height, width = rng.integers(5, largest, 2)
        y, x = rng.integers(1, size[0] - height - 1), rng.integers(1, size[1] - width - 1)
        if not taken[y - 1 : y + height + 1, x - 1 : x + width + 1].any():
            taken[y : y + height, x : x + width] = True
            boxes.append((x, y, x + width, y + height))
    return boxes, rng.integers(0, 2, len(boxes)).tolist()


@pytest.mark.parametrize('tta', [False, True])
@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(
    ('tiles', 'overlap', 'largest', 'blind_above'),
    [
        (256, 0.2, 40, 256),
        (256, 0.5, 115, 256),
        (200, 0.4, 70, 200),  # each is complete in a tile
        (256, 0.2, 128, 256),  # two or four tiles show parts of an object
        (128, 0.2, 500, 10_000),  # only the whole image shows all of them
    ],
)
def test_objects_at_seams_are_found_once(tiles, overlap, largest, blind_above, seed, tta):
    boxes, labels = scattered(seed, (700, 900), largest)
    found = Views(tiles, overlap, tta).detect(
        lambda images: see(images, blind_above), draw(boxes, labels, (700, 900)), batch_size=4
    )
    assert sorted(zip(found.boxes.tolist(), found.labels)) == sorted(
        (list(map(float, box)), label) for box, label in zip(boxes, labels)
    )
    assert (np.diff(found.scores) <= 0).all()


def test_tiles_cover_the_image_with_the_overlap():
    for length in (641, 1000, 2999, 13_000):
        spans = [view.area for view in Views(640, 0.25).of(length, 300)[1:]]
        assert (spans[0][:2], spans[-1][2:]) == ((0, 0), (300, length))
        assert all(y2 - y1 == 640 for _, y1, _, y2 in spans)
        assert all(before[3] - after[1] >= 160 for before, after in pairwise(spans))
    assert [view.area for view in Views(640).of(640, 500)] == [(0, 0, 500, 640)]


def test_views_of_one_size_are_computed_together():
    batches = []

    def note(images):
        batches.append([image.shape for image in images])
        return see(images)

    Views(100, 0.0, tta=True).detect(note, np.zeros((200, 300, 3), np.uint8), batch_size=5)
    assert batches == [[(200, 300, 3)] * 2, *[[(100, 100, 3)] * 5] * 2, [(100, 100, 3)] * 2]


def test_merging_is_per_class_nms_away_from_seams():
    rng = np.random.default_rng(0)
    corner, side, scores, labels = rng.uniform(0, 80, (400, 2)), rng.uniform(5, 40, (400, 2)), *rng.random((2, 400))
    boxes, labels = np.concatenate([corner, corner + side], axis=1), (labels * 3).astype(int)
    parts = [Detections(boxes[n::4].astype(np.float32), scores[n::4], labels[n::4]) for n in range(4)]
    found = merge(parts, [(0, 0, 120, 120)] * 4, (120, 120))
    keep = batched_nms(*map(torch.as_tensor, (boxes, scores, labels)), 0.5).numpy()
    np.testing.assert_array_equal(found.scores, scores[keep])
    np.testing.assert_allclose(found.boxes, boxes[keep], rtol=1e-5)
    np.testing.assert_array_equal(found.labels, labels[keep])


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(tiles=3), 'tiles=3: expected the side of a tile in pixels, 32 or more'),
        (dict(tiles=640, overlap=1), 'overlap=1: expected a fraction of a tile, 0 to 0.9'),
        (dict(tiles=640, overlap=-0.1), 'overlap=-0.1'),
        (dict(tiles=640, overlap=float('nan')), 'overlap=nan'),
        (dict(overlap=0.2), 'overlap=0.2 needs tiles. Add their side in pixels: tiles=640'),
    ],
)
def test_rejects_numbers_out_of_range(options, words):
    with pytest.raises(UserError, match=words):
        Views(**options)


def test_rejects_empty_batch():
    with pytest.raises(UserError, match='batch_size=0'):
        Views(tta=True).detect(see, np.zeros((9, 9, 3), np.uint8), batch_size=0)


@pytest.fixture(scope='module')
def nanodet():
    return Detector(WEIGHTS, device='cpu')


def photos(count):
    return [cv2.imread(str(path)) for path in sorted((SHARED / 'coco_tiny' / 'val2017').iterdir())[:count]]


def alike(one, other):
    """IoU of each detection with the other's of its class."""
    return box_iou(*map(torch.as_tensor, (one.boxes, other.boxes))).numpy() * (one.labels[:, None] == other.labels)


@needs_shared('weights')
@needs_shared('coco_tiny')
def test_tiles_match_single_photos_and_the_full_image(nanodet):
    cell = 700  # a photo is in the middle of a tile
    big = np.zeros((cell, 3 * cell, 3), np.uint8)
    parts = []
    for number, photo in enumerate(photos(3)):
        y, x = (np.array([cell, cell]) - photo.shape[:2]) // 2
        big[y : y + photo.shape[0], number * cell + x : number * cell + x + photo.shape[1]] = photo
        tile = nanodet(np.ascontiguousarray(big[:, number * cell : (number + 1) * cell]))
        parts.append(tile._replace(boxes=tile.boxes + np.array([number * cell, 0] * 2, np.float32)))
    parts = Detections(*map(np.concatenate, zip(*parts)))
    found = nanodet(big, tiles=cell, overlap=0)
    assert (parts.scores > 0.3).sum() > 5
    assert (alike(parts, found).max(axis=1) > 0.49).all()  # itself, or a better one of the whole image
    assert (alike(nanodet(big), found).max(axis=1) > 0.49).all()


@needs_shared('weights')
@needs_shared('coco_tiny')
def test_flips_match_mmdetection_tta(nanodet):
    from mmcv.transforms import Compose
    from mmdet.models.test_time_augs import DetTTAModel
    from mmengine.config import ConfigDict

    model = nanodet._detect.model
    reference = DetTTAModel(module=model, tta_cfg=ConfigDict(model.cfg.tta_model.tta_cfg))
    pipeline = Compose([dict(type='mmdet.LoadImageFromNDArray'), *model.cfg.tta_pipeline[1:]])
    for photo in photos(3):
        sample = pipeline(dict(img=photo, img_id=0))
        with torch.no_grad():
            [expected] = reference.test_step({key: [[one] for one in value] for key, value in sample.items()})
        expected = expected.pred_instances.numpy()
        found = nanodet(photo, tta=True)
        strong = expected.scores > 0.2
        same = alike(Detections(*(expected[key] for key in ('bboxes', 'scores', 'labels'))), found)[strong]
        # It mirrors the padded image, which may lie a pixel beside the mirror image, padded.
        assert (same.max(axis=1) > 0.5).all()
        assert np.median(np.abs(found.scores[same.argmax(axis=1)] - expected.scores[strong])) < 0.1


def test_tiles_match_the_slicer_of_supervision():
    sv = pytest.importorskip('supervision')
    boxes, labels = scattered(0, (700, 900), 40)
    image = draw(boxes, labels, (700, 900))

    def detections(tile):
        [found] = see([tile])
        return sv.Detections(xyxy=found.boxes, confidence=found.scores, class_id=found.labels)

    sliced = sv.InferenceSlicer(detections, slice_wh=256, overlap_wh=51, iou_threshold=0.5)(image).xyxy
    found = Views(256, 0.2).detect(see, image, 8).boxes
    assert set(map(tuple, found.tolist())) < set(map(tuple, sliced.tolist()))
