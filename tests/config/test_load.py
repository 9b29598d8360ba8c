from pathlib import Path

import pytest
from conftest import ROOT
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config.edits import cap_workers
from mmdet_shufflenetv2.config.load import load_config


def test_a_config_of_an_installed_package_is_read_by_its_name():
    import mmdet

    name = 'retinanet/retinanet_r50_fpn_1x_coco.py'
    expected = Config.fromfile(f'{mmdet.__path__[0]}/.mim/configs/{name}')
    cfg = load_config(f'mmdet::{name}')
    assert cfg.model.pop('_scope_') == 'mmdet'
    assert cfg.model == expected.model
    assert cfg.work_dir == 'work_dirs/retinanet_r50_fpn_1x_coco'


@pytest.mark.parametrize(
    ('path', 'words'),
    [
        ('mmdet::retinanet/nothing.py', 'nothing.py'),
        ('nopackage::retinanet.py', 'nopackage::retinanet.py cannot be read as a config'),
        ('nopackage::x/y.py', 'nopackage::x/y.py cannot be read as a config'),
        ('configs/nothing.py', 'Config not found: configs/nothing.py. The configs of this project are in '),
        ('nanodet_m_snv2', 'Did you mean .*configs/nanodet_m_snv2.py'),
        ('nanodet_m_snv2.py', 'Did you mean .*configs/nanodet_m_snv2.py'),
        ('nanodet_m_sn2', 'Did you mean .*configs/nanodet_m_snv2.py'),
        ('shufflenet_v2_1.0x.py', 'Did you mean .*configs/imagenet/shufflenet_v2_1.0x.py'),
        (ROOT / 'configs' / '_base_' / 'coco_1x.py', 'has no model'),
    ],
)
def test_rejects_a_path_that_is_not_a_config(path, words):
    with pytest.raises(UserError, match=words):
        load_config(path)


def test_configs_of_this_project_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = 'configs/imagenet/shufflenet_v2_0.5x.py'
    assert Path(load_config(name).filename) == ROOT / name
    (tmp_path / 'configs' / 'imagenet').mkdir(parents=True)
    (tmp_path / name).write_text('model = dict(type="Mine")')
    assert load_config(name).model.type == 'Mine'


def test_only_similar_names_are_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('topng.py', 'cmp.py', 'my_nanodet_m.py'):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match='The configs of this project are in '):
        load_config('nope.py')
    with pytest.raises(UserError, match='Did you mean my_nanodet_m.py'):
        load_config('my_nanodet.py')


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'train_dataloader.batch_size': 'abc'}, 'train_dataloader.batch_size=abc: expected a number .currently 8.'),
        ({'param_scheduler.0.end': 'soon'}, 'param_scheduler.0.end=soon: expected a number .currently 500.'),
        ({'optim_wrapper.optimizer.lr': '0,01'}, 'optim_wrapper.optimizer.lr=0,01'),
    ],
)
def test_rejects_text_instead_of_a_number(options, words):
    with pytest.raises(UserError, match=words):
        load_config(ROOT / 'configs' / 'faster_rcnn_snv2.py', options)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('optim_wrapper.loss_scale', 'dynamic'),
        ('train_dataloader.batch_size', 3),
        ('model.backbone.frozen_stages', 1),
        ('model.backbone.init_cfg', None),
        ('work_dir', 'x'),
        ('new.entry', 'x'),
    ],
)
def test_other_values_override_the_config(tmp_path, key, value):
    config = tmp_path / 'c.py'
    config.write_text(f"_base_ = ['{ROOT}/configs/faster_rcnn_snv2.py']\noptim_wrapper = dict(loss_scale=512)\n")
    cfg = load_config(config, {key: value})
    for part in key.split('.'):
        cfg = cfg[part]
    assert cfg == value


@pytest.mark.parametrize(
    ('option', 'meant'),
    [
        ('modle.backbone.with_cp', 'model.backbone.with_cp'),
        ('randomnes.seed', 'randomness.seed'),
        ('loadfrom', 'load_from'),
        ('model.backbone.frozen_stage', 'model.backbone.frozen_stages'),  # an argument that the config does not name
        ('optim_wrapper.optimiser.lr', 'optim_wrapper.optimizer.lr'),
        ('train_cfg.max_epoch', 'train_cfg.max_epochs'),
        ('train_dataloader.batchsize', 'train_dataloader.batch_size'),
        ('param_scheduler.0.ends', 'param_scheduler.0.end'),
    ],
)
def test_rejects_a_misspelled_option_with_a_suggestion(option, meant):
    with pytest.raises(UserError, match=f'`cfg_options` {option}: unknown entry .* Did you mean {meant}?'):
        load_config(ROOT / 'configs' / 'nanodet_m_snv2.py', {option: 1})


@pytest.mark.parametrize(
    'option',
    [
        'load_from',
        'custom_hooks',
        'tta_model',
        'sync_bn',
        'model.test_cfg.x',
        'model.backbone.frozen_stages',
        'model.backbone.norm_eval',
        'optim_wrapper.accumulative_counts',
        'optim_wrapper.paramwise_cfg.custom_keys.bakcbone',
        'train_cfg.val_begin',
        'param_scheduler.1.end',
        'my_own.entry',
    ],
)
def test_option_can_be_new(option):
    cfg = load_config(ROOT / 'configs' / 'nanodet_m_snv2.py', {option: 1})
    for part in option.split('.'):
        cfg = cfg[int(part) if part.isdecimal() else part]
    assert cfg == 1


@pytest.mark.parametrize('index', ['2', 'first', '-1'])
def test_rejects_an_index_out_of_range(index):
    with pytest.raises(UserError, match=f'is a list of 2; expected an index from 0 to 1, got {index}'):
        load_config(ROOT / 'configs' / 'nanodet_m_snv2.py', {f'param_scheduler.{index}.end': 1})


def test_workers_are_limited_to_the_cores(monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda process: {0, 1}, raising=False)
    cfg = load_config(ROOT / 'configs' / 'nanodet_m_snv2.py', {'val_dataloader.num_workers': 1})
    assert cap_workers(cfg) == '2 instead of 8, because this process has 2 cores'
    assert [cfg.train_dataloader.num_workers, cfg.val_dataloader.num_workers] == [2, 1]
    assert cap_workers(cfg) is None
