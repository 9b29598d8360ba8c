from torch import nn

from mmdet_shufflenetv2.models.unwrap import unwrap_model


def test_a_wrapped_model_is_the_one_inside():
    model = nn.Linear(1, 1)
    assert unwrap_model(nn.DataParallel(model)) is model


def test_a_model_that_has_a_part_called_module_is_itself():
    model = nn.Sequential()
    model.module = nn.Linear(1, 1)
    assert unwrap_model(model) is model
