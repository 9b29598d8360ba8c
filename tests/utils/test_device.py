import pytest
import torch

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.utils.device import usable_device


@pytest.mark.parametrize('device', ['tpu9', 'meta', pytest.param('cuda', marks=pytest.mark.skipif(
    torch.cuda.is_available(), reason='there is a GPU'))])
def test_a_device_that_is_not_there_is_said_in_a_line(device):
    with pytest.raises(UserError, match=f'device={device} cannot be used here: expected cpu, or cuda') as error:
        usable_device(device)
    assert '\n' not in str(error.value)
