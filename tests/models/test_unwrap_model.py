from torch import nn

from mmdet_shufflenetv2.models.unwrap import unwrap_model


def test_the_model_inside_a_wrapper_is_returned():
    model = nn.Linear(1, 1)
    assert unwrap_model(nn.DataParallel(model)) is model


def test_a_model_with_a_part_called_module_is_returned_itself():
    model = nn.Sequential()
    model.module = nn.Linear(1, 1)
    assert unwrap_model(model) is model
