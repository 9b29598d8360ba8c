import pytest
import torch

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.utils.device import usable_device


@pytest.mark.parametrize(
    'device',
    [
        'tpu9',
        'meta',
        pytest.param('cuda', marks=pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')),
    ],
)
def test_an_unavailable_device_is_reported_in_one_line(device):
    with pytest.raises(UserError, match=f'device={device} .*expected cpu, or cuda') as error:
        usable_device(device)
    assert '\n' not in str(error.value)
