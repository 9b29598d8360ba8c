"""Position-sensitive RoI align against loops over regions, bins, channels and samples."""

import pytest
import torch

from mmdet_shufflenetv2.models.light_head import PSRoIAlignExtractor

REGIONS = [
    [0, 16, 16, 80, 96],
    [1, 3.5, 7.25, 61.75, 40.125],
    [1, -20, -9, 30, 20],  # exceeds the image at the top left
    [0, 90, 70, 150, 130],  # exceeds it at the bottom right
    [0, 40, 40, 41, 41],  # smaller than a cell
]


def bilinear(plane, y, x):
    """Value at a position in cells, with the center of the first cell at 0; 0 more than a cell outside."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    return float(
        (1 - dy) * ((1 - dx) * plane[top, left] + dx * plane[top, right])
        + dy * ((1 - dx) * plane[bottom, left] + dx * plane[bottom, right])
    )


def plain_loop(feature, rois, out_channels, bins, stride, samples):
    """The definition in section 3 of the R-FCN paper, with samples instead of the pixels of a bin."""
    out = torch.zeros(len(rois), out_channels, bins, bins, dtype=torch.float64)
    for index, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        bin_height, bin_width = (y2 - y1) / bins / stride, (x2 - x1) / bins / stride
        for c in range(out_channels):
            for by in range(bins):
                for bx in range(bins):
                    plane = feature[int(image), (c * bins + by) * bins + bx]
                    total = sum(
                        bilinear(
                            plane,
                            y1 / stride - 0.5 + (by + (sy + 0.5) / samples) * bin_height,
                            x1 / stride - 0.5 + (bx + (sx + 0.5) / samples) * bin_width,
                        )
                        for sy in range(samples)
                        for sx in range(samples)
                    )
                    out[index, c, by, bx] = total / samples**2
    return out


@pytest.mark.parametrize(('bins', 'stride', 'samples'), [(7, 16, 2), (3, 8, 1), (2, 32, 3)])
def test_outputs_equal_the_loop(bins, stride, samples):
    torch.manual_seed(0)
    feature = torch.randn(2, 3 * bins**2, 8, 10, dtype=torch.float64)
    rois = torch.tensor(REGIONS, dtype=torch.float64)
    extractor = PSRoIAlignExtractor(3, [stride], output_size=bins, sampling_ratio=samples)
    torch.testing.assert_close(extractor([feature], rois), plain_loop(feature, rois, 3, bins, stride, samples))


def test_the_gradient_equals_the_loop():
    feature = torch.randn(2, 2 * 4, 5, 6, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor(REGIONS, dtype=torch.float64)
    extractor = PSRoIAlignExtractor(2, [16], output_size=2)
    weight = torch.randn(len(rois), 2, 2, 2, dtype=torch.float64)
    (weight * extractor([feature], rois)).sum().backward()
    # The output is linear in the features, so the gradient is the change for a unit step.
    step = torch.zeros_like(feature)
    step[1, 3, 2, 1] = 1
    expected = (weight * plain_loop(step, rois, 2, 2, 16, 2)).sum()
    torch.testing.assert_close(feature.grad[1, 3, 2, 1], expected)


def test_a_region_of_one_cell_has_the_value_of_that_cell():
    feature = torch.arange(4 * 6.0).view(1, 1, 4, 6)
    y, x, stride = 2, 3, 16
    region = torch.tensor([[0, x * stride, y * stride, (x + 1) * stride, (y + 1) * stride]], dtype=torch.float32)
    extractor = PSRoIAlignExtractor(1, [stride], output_size=1, sampling_ratio=1)
    assert extractor([feature], region).item() == feature[0, 0, y, x]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_does_not_move_regions(dtype):
    feature = torch.rand(1, 4, 8, 80).to(dtype)
    rois = torch.tensor([[0, 1051.3, 20.7, 1190.9, 99.1]])
    extractor = PSRoIAlignExtractor(1, [16], output_size=2)
    out = extractor([feature], rois)
    assert out.dtype == dtype
    torch.testing.assert_close(out, extractor([feature.float()], rois).to(dtype))


def test_no_regions_give_an_empty_output():
    assert PSRoIAlignExtractor(10, [16])([torch.rand(1, 490, 4, 4)], torch.zeros(0, 5)).shape == (0, 10, 7, 7)
