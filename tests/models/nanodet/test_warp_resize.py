import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.utils import register_all_modules

register_all_modules()

RANDOM = dict(scaling_ratio_range=(0.6, 1.4), stretching_ratio_range=(0.8, 1.2), flip_prob=0.5, max_translate_ratio=0.2)


def warped(image, boxes, **options):
    height, width = image.shape[:2]
    return TRANSFORMS.build(dict(type='WarpResize', **options))(
        dict(img=image, img_shape=(height, width), gt_bboxes=HorizontalBoxes(np.array(boxes, np.float32)))
    )


def test_without_ranges_image_and_boxes_are_only_resized():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    results = warped(image, [[12, 9, 60, 90], [0, 0, 120, 45]], scale=(64, 96))
    assert np.array_equal(results['img'], cv2.warpPerspective(image, np.diag([64 / 120, 96 / 90, 1]), (64, 96)))
    assert results['img_shape'] == (96, 64)
    assert results['scale_factor'] == (64 / 120, 96 / 90)
    assert results['gt_bboxes'].tensor.numpy() == pytest.approx(np.array([[6.4, 9.6, 32, 96], [0, 0, 64, 48]]))


def test_boxes_move_with_their_pixels():
    np.random.seed(0)
    image = np.zeros((200, 300, 3), np.uint8)
    image[80:120, 120:200] = 255
    boxes = []
    for _ in range(40):
        results = warped(image, [[120, 80, 200, 120]], scale=(160, 160), **RANDOM)
        rows, columns = (np.flatnonzero(results['img'][..., 0].max(axis=axis) > 127) for axis in (1, 0))
        box = results['gt_bboxes'].tensor[0].tolist()
        assert box == pytest.approx([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], abs=1.6)
        boxes.append(box)
    widths, heights = (np.array([box[i + 2] - box[i] for box in boxes]) for i in (0, 1))
    factors = widths / 80 * 300 / 160, heights / 40 * 200 / 160
    for factor in factors:
        assert 0.6 * 0.8 - 0.05 < factor.min() < 0.7
        assert 1.3 < factor.max() < 1.4 * 1.2 + 0.05
    assert (factors[0] / factors[1]).min() < 0.8  # stretched, not only scaled
    centers = np.array([[(box[0] + box[2]) / 320, (box[1] + box[3]) / 320] for box in boxes])
    assert (np.abs(centers - 0.5) < 0.2 + 0.06).all()  # the box is slightly off center
    assert (centers.min(axis=0) < 0.4).all()
    assert (centers.max(axis=0) > 0.6).all()


def test_half_of_the_images_are_flipped():
    np.random.seed(0)
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, :32] = 255
    left_is_light = [
        warped(image, [[0, 0, 1, 1]], scale=(64, 64), flip_prob=0.5)['img'][32, 8, 0] > 127 for _ in range(200)
    ]
    assert 70 < sum(left_is_light) < 130


def test_boxes_are_clipped_to_the_result():
    np.random.seed(0)
    image = np.zeros((100, 100, 3), np.uint8)
    for _ in range(20):
        box = warped(image, [[0, 0, 100, 100]], scale=(64, 64), **RANDOM)['gt_bboxes'].tensor
        assert box.min() >= 0
        assert box.max() <= 64
