"""Operators for rotated boxes and points that MMDetection does not call, compared with their definitions."""

import math

import pytest
import torch
from op_cases import random

from mmdet_shufflenetv2 import compat

pytestmark = pytest.mark.skipif(not compat.ops_are_served(), reason='a compiled mmcv is installed')


def quadrilaterals(kind, count, seed=0):
    """``(count, 8)`` corners of rotated squares with one corner moved outwards, or inwards beyond the center."""
    angle = random(count, 1, seed=seed, high=6) + torch.arange(4) * math.pi / 2
    radius = random(count, 1, seed=seed + 1, low=5, high=20).expand(-1, 4).clone()
    radius[:, 1] *= 1.3 if kind == 'convex' else -0.2
    center = random(count, 1, 2, seed=seed + 2, high=40)
    return (center + torch.stack((angle.cos(), angle.sin()), dim=2) * radius[..., None]).flatten(1)


@pytest.mark.parametrize('reverse', [False, True])
@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('kind', ['convex', 'concave'])
def test_overlap_of_quadrilaterals_equals_shapely(kind, mode, reverse):
    from mmcv.ops import box_iou_quadri
    from shapely.geometry import Polygon

    first, second = quadrilaterals(kind, 12), quadrilaterals(kind, 9, seed=5)
    if reverse:
        second = second.view(-1, 4, 2).flip(1).flatten(1)
    one, other = ([Polygon(corners.view(4, 2).tolist()) for corners in boxes] for boxes in (first, second))
    expected = torch.tensor(
        [[a.intersection(b).area / (a.union(b).area if mode == 'iou' else a.area) for b in other] for a in one]
    )
    assert (expected > 0).sum() > 20
    torch.testing.assert_close(box_iou_quadri(first, second, mode), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        box_iou_quadri(first[:9], second, mode, aligned=True), expected[:9].diagonal(), rtol=1e-5, atol=1e-5
    )


def test_quadrilaterals_that_overlap_a_better_one_are_dropped():
    from mmcv.ops import box_iou_quadri, nms_quadri

    boxes, scores = quadrilaterals('convex', 60), random(60, seed=9)
    iou, kept = box_iou_quadri(boxes, boxes), []
    for i in scores.argsort(descending=True).tolist():
        if not any(iou[i, k] >= 0.3 for k in kept):
            kept.append(i)
    assert 5 < len(kept) < 50
    assert nms_quadri(boxes, scores, 0.3)[1].tolist() == kept


def test_quadrilaterals_without_area_do_not_overlap():
    from mmcv.ops import box_iou_quadri

    flat = torch.tensor([[0.0, 0, 5, 5, 9, 9, 3, 3]])
    assert box_iou_quadri(flat, torch.cat((flat, quadrilaterals('convex', 2)))).tolist() == [[0, 0, 0]]
    assert box_iou_quadri(flat[:0], flat).shape == (0, 1)


def rotated_regions(count):
    """``(count, 6)``: image, center, size and angle."""
    return torch.cat(
        (
            (torch.arange(count) % 2)[:, None],
            random(count, 2, seed=1, high=60),
            random(count, 2, seed=2, low=4, high=50),
            random(count, 1, seed=3, low=-3, high=3),
        ),
        dim=1,
    ).double()


@pytest.mark.parametrize('clockwise', [False, True])
def test_orientations_are_shifted_by_the_angle_of_the_region(clockwise):
    from mmcv.ops import RiRoIAlignRotated, roi_align_rotated

    x, regions, orientations = random(2, 8, 16, 20).double(), rotated_regions(6), 4
    out = RiRoIAlignRotated((3, 4), 0.25, 2, orientations, clockwise)(x, regions)
    pooled = roi_align_rotated(x, regions, (3, 4), 0.25, 2, False, clockwise)
    for k, angle in enumerate(regions[:, 5].tolist()):
        steps = angle * orientations / (2 * math.pi)
        integer = math.floor(steps)
        for channel in range(8):
            feature, o = divmod(channel, orientations)
            first, second = (feature * orientations + (o - integer + i) % orientations for i in (0, 1))
            expected = (1 - (steps - integer)) * pooled[k, first] + (steps - integer) * pooled[k, second]
            torch.testing.assert_close(out[k, channel], expected)


@pytest.mark.parametrize('name', ['roi_align_rotated', 'riroi', 'bezier', 'rotated_feature_align'])
def test_gradients_match_the_output(name):
    from mmcv import ops

    x, regions = random(2, 4, 5, 6).double().requires_grad_(), rotated_regions(3)
    call = {
        'roi_align_rotated': lambda x: ops.roi_align_rotated(x, regions, 2, 0.1, 0, True, True),
        'riroi': lambda x: ops.RiRoIAlignRotated((2, 2), 0.1, 2, 4, False)(x, regions),
        'bezier': lambda x: ops.bezier_align(
            x, torch.cat((regions[:, :1], random(3, 16, seed=4, high=60).double()), dim=1), 2, 0.1, 2, True
        ),
        'rotated_feature_align': lambda x: ops.rotated_feature_align(
            x, random(2, 5, 6, 5, seed=5, high=40).double(), 0.1, 5
        ),
    }[name]
    assert torch.autograd.gradcheck(call, x, fast_mode=True)


def test_rotated_roi_align_with_angle_zero_equals_roi_align():
    from mmcv.ops import roi_align, roi_align_rotated

    x, regions = random(2, 3, 16, 20), rotated_regions(9).float()
    regions[:, 5] = 0
    image, center, half = regions[:, :1], regions[:, 1:3], regions[:, 3:5] / 2
    corners = torch.cat((image, center - half, center + half), dim=1)
    for ratio in (0, 2):
        torch.testing.assert_close(
            roi_align_rotated(x, regions, 3, 0.25, ratio, True),
            roi_align(x, corners, 3, 0.25, ratio, 'avg', True),
            rtol=1e-4,
            atol=1e-4,
        )


def cloud(count, seed=0):
    return random(2, count, 3, seed=seed, low=-5, high=5)


def test_all_boxes_and_the_first_box_of_each_point_are_found():
    import mmcv._ext
    from mmcv.ops import points_in_boxes_cpu

    boxes, points = torch.cat((cloud(5, seed=3), random(2, 5, 4, seed=4, low=1, high=6)), dim=2), cloud(90)
    every = points_in_boxes_cpu(points, boxes)
    out = torch.zeros_like(every)
    mmcv._ext.points_in_boxes_all_forward(boxes, points, out)
    assert torch.equal(out, every)
    first = torch.full((2, 90), -1, dtype=torch.int32)
    mmcv._ext.points_in_boxes_part_forward(boxes, points, first)
    assert first.unique().numel() > 3
    assert first.tolist() == [[row.index(1) if 1 in row else -1 for row in rows] for rows in every.tolist()]


def test_points_in_polygons_equals_shapely():
    from mmcv.ops import points_in_polygons
    from shapely.geometry import Point, Polygon

    polygons, points = torch.cat([quadrilaterals(kind, 4) for kind in ('convex', 'concave')]), random(60, 2, high=40)
    shapes = [Polygon(corners.view(4, 2).tolist()) for corners in polygons]
    expected = [[float(shape.contains(Point(*point))) for shape in shapes] for point in points.tolist()]
    assert points_in_polygons(points, polygons).tolist() == expected


def test_overlap_and_nms_in_birds_eye_view_equal_shapely():
    import mmcv._ext
    from mmcv.ops import boxes_overlap_bev, nms3d
    from shapely.affinity import rotate
    from shapely.geometry import box as rectangle

    boxes = torch.cat((random(30, 3, high=20), random(30, 3, seed=1, low=1, high=9), random(30, 1, seed=2, high=6)), 1)
    shapes = [
        rotate(rectangle(x - w / 2, y - h / 2, x + w / 2, y + h / 2), angle, use_radians=True)
        for x, y, _, w, h, _, angle in boxes.tolist()
    ]
    expected = torch.tensor([[a.intersection(b).area for b in shapes] for a in shapes])
    torch.testing.assert_close(boxes_overlap_bev(boxes, boxes), expected, rtol=1e-4, atol=1e-4)
    scores, kept = random(30, seed=3), []
    for i in scores.argsort(descending=True).tolist():
        if not any(expected[i, k] / shapes[i].union(shapes[k]).area > 0.1 for k in kept):
            kept.append(i)
    assert nms3d(boxes, scores, 0.1).tolist() == kept
    axis_aligned, count = torch.zeros(30, dtype=torch.long), torch.zeros((), dtype=torch.long)
    mmcv._ext.iou3d_nms3d_normal_forward(boxes, axis_aligned, count, nms_overlap_thresh=0.1)
    boxes[:, 6] = 0
    assert axis_aligned[:count].tolist() == nms3d(boxes, torch.arange(30, 0, -1.0), 0.1).tolist()


def test_neighbors_equal_brute_force():
    import mmcv._ext
    from mmcv.ops import ball_query, three_nn

    points, centers = cloud(40), cloud(11, seed=1)
    distance = torch.cdist(centers, points)
    nearest = distance.sort(dim=2)
    idx, squared = torch.zeros(2, 11, 5, dtype=torch.int32), torch.zeros(2, 11, 5)
    mmcv._ext.knn_forward(points, centers, idx, squared, b=2, n=40, m=11, nsample=5)
    assert torch.equal(idx.long(), nearest.indices[:, :, :5])
    torch.testing.assert_close(squared.sqrt(), nearest.values[:, :, :5], rtol=1e-4, atol=1e-4)
    dist, idx = three_nn(centers, points)
    assert torch.equal(idx.long(), nearest.indices[:, :, :3])
    torch.testing.assert_close(dist, nearest.values[:, :, :3], rtol=1e-4, atol=1e-4)
    found = ball_query(1.0, 3.0, 4, points, centers)
    for b in range(2):
        for m in range(11):
            within = [n for n in range(40) if 1 <= distance[b, m, n] < 3][:4]
            assert found[b, m].tolist() == (within + within[:1] * 4 if within else [0] * 4)[:4]


def test_gathered_features_and_their_gradients_are_correct():
    from mmcv.ops import gather_points, grouping_operation, three_interpolate

    features, idx = random(2, 3, 7).double().requires_grad_(), (random(2, 4, 3) * 7).int()
    weight = random(2, 4, 3, seed=1).double()
    gathered = gather_points(features, idx[:, :, 0].contiguous())
    grouped, mixed = grouping_operation(features, idx), three_interpolate(features, idx, weight)
    for b in range(2):
        for i in range(4):
            torch.testing.assert_close(gathered[b, :, i], features[b, :, idx[b, i, 0]])
            torch.testing.assert_close(grouped[b, :, i], features[b][:, idx[b, i].long()])
            torch.testing.assert_close(mixed[b, :, i], features[b][:, idx[b, i].long()] @ weight[b, i])
    for call in (
        lambda f: gather_points(f, idx[:, :, 0].contiguous()),
        lambda f: grouping_operation(f, idx),
        lambda f: three_interpolate(f, idx, weight),
    ):
        assert torch.autograd.gradcheck(call, features)


def test_each_sampled_point_is_the_furthest_from_the_previous_ones():
    import mmcv._ext

    points = cloud(30)
    distance = torch.cdist(points, points).square()
    for name, given in (
        ('furthest_point_sampling_forward', points),
        ('furthest_point_sampling_with_dist_forward', distance),
    ):
        idx, nearest = torch.zeros(2, 6, dtype=torch.int32), torch.full((2, 30), 1e10)
        getattr(mmcv._ext, name)(given, nearest, idx, b=2, n=30, m=6)
        for b in range(2):
            sampled = [0]
            for _ in range(5):
                sampled.append(int(distance[b, sampled].amin(dim=0).argmax()))
            assert idx[b].tolist() == sampled
