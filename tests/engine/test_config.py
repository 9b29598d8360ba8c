import pytest
from conftest import ROOT
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.engine.config import load_config


def test_a_config_of_an_installed_package_is_read_by_its_name():
    import mmdet
    name = 'retinanet/retinanet_r50_fpn_1x_coco.py'
    expected = Config.fromfile(f'{mmdet.__path__[0]}/.mim/configs/{name}')
    cfg = load_config(f'mmdet::{name}')
    assert cfg.model.pop('_scope_') == 'mmdet'
    assert cfg.model == expected.model
    assert cfg.work_dir == 'work_dirs/retinanet_r50_fpn_1x_coco'


@pytest.mark.parametrize(('path', 'words'), [
    ('mmdet::retinanet/nothing.py', 'nothing.py'),
    ('nopackage::retinanet.py', 'nopackage::retinanet.py cannot be read as a config'),
    ('configs/nothing.py', 'There is no config'),
    (ROOT / 'configs' / '_base_' / 'coco_1x.py', 'has no model'),
])
def test_what_is_no_config_is_said(path, words):
    with pytest.raises(UserError, match=words):
        load_config(path)
