import pytest
from mmdet.registry import MODELS

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.engine.tool import registry_errors


@pytest.mark.parametrize(('cfg', 'words'), [
    (dict(type='ShuffleNetV2', width=1), "unexpected keyword argument 'width'"),
    (dict(type='ShuffleNetV9'), 'ShuffleNetV9'),
])
def test_a_config_that_does_not_fit_is_the_users_mistake(cfg, words):
    with pytest.raises(UserError, match=words), registry_errors():
        MODELS.build(cfg)


@pytest.mark.parametrize('error', [
    TypeError("Hook.__init__() got an unexpected keyword argument 'x'"), KeyError('loss')])
def test_an_error_from_elsewhere_keeps_its_type(error):
    with pytest.raises(type(error)), registry_errors():
        raise error
