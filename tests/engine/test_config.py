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
    ('nopackage::x/y.py', 'nopackage::x/y.py cannot be read as a config'),
    ('configs/nothing.py', 'There is no config configs/nothing.py. Those of this project lie in '),
    ('nanodet_m_snv2', 'Near it: .*configs/nanodet_m_snv2.py'),
    ('nanodet_m_snv2.py', 'Near it: .*configs/nanodet_m_snv2.py'),
    ('nanodet_m_sn2', 'Near it: .*configs/nanodet_m_snv2.py'),
    ('shufflenet_v2_1.0x.py', 'Near it: .*configs/imagenet/shufflenet_v2_1.0x.py'),
    (ROOT / 'configs' / '_base_' / 'coco_1x.py', 'has no model'),
])
def test_what_is_no_config_is_said(path, words):
    with pytest.raises(UserError, match=words):
        load_config(path)


def test_files_beside_a_name_that_are_not_like_it_are_no_hint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('topng.py', 'cmp.py', 'my_nanodet_m.py'):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match='lie in '):
        load_config('nope.py')
    with pytest.raises(UserError, match='Near it: my_nanodet_m.py'):
        load_config('my_nanodet.py')


@pytest.mark.parametrize(('options', 'words'), [
    ({'train_dataloader.batch_size': 'abc'}, 'train_dataloader.batch_size=abc: expected a number, as the 8 '),
    ({'param_scheduler.0.end': 'soon'}, 'param_scheduler.0.end=soon: expected a number, as the 500 '),
    ({'optim_wrapper.optimizer.lr': '0,01'}, 'optim_wrapper.optimizer.lr=0,01'),
])
def test_a_word_where_the_config_has_a_number_is_refused(options, words):
    with pytest.raises(UserError, match=words):
        load_config(ROOT / 'configs' / 'faster_rcnn_snv2.py', options)


@pytest.mark.parametrize(('key', 'value'), [
    ('optim_wrapper.loss_scale', 'dynamic'), ('train_dataloader.batch_size', 3), ('model.backbone.frozen_stages', 1),
    ('model.backbone.init_cfg', None), ('work_dir', 'x'), ('new.entry', 'x')])
def test_other_values_are_laid_over(tmp_path, key, value):
    config = tmp_path / 'c.py'
    config.write_text(f"_base_ = ['{ROOT}/configs/faster_rcnn_snv2.py']\noptim_wrapper = dict(loss_scale=512)\n")
    cfg = load_config(config, {key: value})
    for part in key.split('.'):
        cfg = cfg[part]
    assert cfg == value
