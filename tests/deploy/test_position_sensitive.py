import pytest
import torch
from torchvision.ops import ps_roi_align as torchvisions

from mmdet_shufflenetv2.deploy.heads.position_sensitive import ps_roi_align


@pytest.mark.parametrize('samples', [1, 2, 3])
@pytest.mark.parametrize(('size', 'channels'), [(7, 10), (3, 2)])
def test_matches_torchvision_inside_and_outside_the_image(samples, size, channels):
    torch.manual_seed(0)
    feature = torch.randn(1, channels * size * size, 12, 17)
    corner = torch.rand(60, 2) * torch.tensor([300.0, 240.0]) - 30
    rois = torch.cat((torch.zeros(60, 1), corner, corner + torch.rand(60, 2) * 150), dim=1)
    rois = torch.cat((rois, torch.tensor([[0, 5.0, 5, 5, 5], [0, 40, 40, 20, 10], [0, -100, -100, -90, -80]])))
    torch.testing.assert_close(
        ps_roi_align(feature, rois, size, 1 / 16, samples),
        torchvisions(feature, rois, size, 1 / 16, samples),
        rtol=1e-4,
        atol=1e-4,
    )
