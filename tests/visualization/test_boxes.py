import numpy as np
import pytest

from mmdet_shufflenetv2.visualization import class_color, draw_boxes

RED = (255, 0, 0)


def drawn(boxes, names, size=(120, 160)):
    image = np.full((*size, 3), 128, np.uint8)
    result = draw_boxes(image, np.array(boxes, float).reshape(-1, 4), names, [RED] * len(names))
    assert (image == 128).all()
    return result


def test_box_is_drawn_in_its_color():
    red = (drawn([[20, 30, 60, 90]], ['']) == (0, 0, 255)).all(axis=2)
    y, x = np.nonzero(red)
    assert (x.min(), x.max(), y.min(), y.max()) == (20, 60, 30, 90)
    assert not red[35:85, 25:55].any()


@pytest.mark.parametrize(
    'box',
    [
        [5, 2, 40, 30],
        [150, 100, 159, 119],
        [-20, -20, 400, 400],
        [300, 300, 310, 310],
        [10, 10, 10, 10],
        [30, 30, 20, 20],
    ],
)
def test_label_is_inside_the_image(box):
    difference = (drawn([box], ['zebra 0.90']) != drawn([box], [''])).any(axis=2)
    _, x = np.nonzero(difference)
    assert x.max() - x.min() > 30  # the whole of it


def test_labels_of_nearby_boxes_do_not_overlap():
    one = (drawn([[20, 40, 90, 100]], ['zebra']) == (0, 0, 255)).all(axis=2).sum()
    three = (drawn([[20, 40, 90, 100]] * 3, ['zebra'] * 3) == (0, 0, 255)).all(axis=2).sum()
    assert three > 2 * one - (drawn([[20, 40, 90, 100]], ['']) == (0, 0, 255)).all(axis=2).sum()


def test_no_boxes_leave_the_image_unchanged():
    assert (drawn([], []) == 128).all()


def test_colors_of_many_classes_differ():
    colors = np.array([class_color(label) for label in range(80)])
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 999 * np.eye(80)
    assert distances.min() > 5
    assert len({tuple(color) for color in colors}) == 80
    neighbors = np.abs(np.diff(colors, axis=0)).sum(axis=1)
    assert neighbors.min() > 100
    assert 0 <= colors.min() <= colors.max() <= 255
