import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_shufflenetv2.visualization import class_color
from mmdet_shufflenetv2.visualization.visualizer import BoxVisualizer

GRAY = 128


def drawn(boxes, size=(400, 600), **fields):
    """The figure of a data sample with ground truth and detections at different positions."""
    visualizer = BoxVisualizer()
    visualizer.dataset_meta = dict(classes=('cat', 'dog'))
    sample = DetDataSample(
        gt_instances=InstanceData(bboxes=torch.tensor([[100.0, 100, 200, 200]]), labels=torch.tensor([0])),
        pred_instances=InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4),
            labels=torch.ones(len(boxes), dtype=int),
            scores=torch.full((len(boxes),), 0.9),
            **fields,
        ),
    )
    visualizer.add_datasample('', np.full((*size, 3), GRAY, np.uint8), sample)
    return visualizer.get_image()


def test_ground_truth_is_left_and_detections_are_right_in_class_colors():
    left, right = np.split(drawn([[300.0, 100, 400, 200]]), 2, axis=1)
    # Releases of Pillow differ by a pixel.
    for drawn_on, here, there, color in ((left, 100, 300, class_color(0)), (right, 300, 100, class_color(1))):
        assert color in {tuple(pixel) for pixel in drawn_on[150, here - 1 : here + 3]}
        assert (drawn_on[150, there - 1 : there + 3] == GRAY).all()


def test_labels_of_nearby_detections_do_not_overlap():
    one, two = ((drawn([[300.0, 100, 400, 200]] * count) == class_color(1)).all(axis=2).sum() for count in (1, 2))
    assert two > 1.3 * one


@pytest.mark.parametrize('boxes', [[], [[10.0, 10, 60, 60]]])
def test_a_small_image_is_enlarged(boxes):
    assert drawn(boxes, size=(120, 160)).shape == (192, 2 * 256, 3)


def test_a_large_image_keeps_its_size():
    assert drawn([], size=(400, 600)).shape == (400, 1200, 3)


def test_masks_are_drawn_in_a_figure_of_the_same_size():
    mask = torch.zeros(1, 120, 160, dtype=bool)
    mask[:, 60:100, 60:100] = True
    figure = drawn([[10.0, 10, 60, 60]], size=(120, 160), masks=mask)
    assert figure.shape == (192, 512, 3)
    assert (figure[128, 256 + 128] != GRAY).any()
