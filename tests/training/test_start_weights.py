import logging
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from torch import nn

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.checkpoints.download import DownloadError
from mmdet_shufflenetv2.checkpoints.safe_loading import load
from mmdet_shufflenetv2.models.backbones.norm_eval import folded_norms
from mmdet_shufflenetv2.training.start_weights import StartWeightsHook, download_advice
from mmdet_shufflenetv2.training.train import train

NAME = 'http://127.0.0.1:9/backbone.pth'  # nobody listens there
CONFIG = """
_base_ = '{root}/configs/nanodet_m_snv2_shapes.py'
_data = dict(data_root='{data}/', shapes=dict(num_train=12, num_val=6, size=96))
train_dataloader = dict(batch_size=6, num_workers=0, persistent_workers=False, dataset=_data)
val_dataloader = dict(batch_size=6, num_workers=0, persistent_workers=False, dataset=_data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val2017.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=9)
model = dict(backbone=dict(frozen_stages=0, init_cfg=dict(type='Pretrained', checkpoint='{name}')))
"""


@pytest.fixture
def run(tmp_path, shapes_root, monkeypatch):
    """Train NanoDet for one epoch where its backbone cannot be downloaded; returns the weights afterwards."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'empty'))
    (tmp_path / 'config.py').write_text(CONFIG.format(root=ROOT, data=shapes_root, name=NAME))

    def call(**options):
        written = train(tmp_path / 'config.py', work_dir=str(tmp_path / 'run'), cfg_options=options)
        return load(written['checkpoint'])['state_dict']

    return call


def detector(backbone=None, config='nanodet_m_snv2_shapes'):
    register_all_modules(init_default_scope=True)
    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py').model
    cfg.backbone.update(backbone or {})
    return MODELS.build(cfg)


def as_trained(model):
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight, norm.bias, norm.running_mean):
                nn.init.uniform_(values, 0.1, 0.2)
    return model


def fold(model, parts):
    """What folding leaves of the norms of some parts of a model; the convolutions do not matter here."""
    fuse_conv_bn = [
        (name, norm)
        for name, norm in model.named_modules()
        if isinstance(norm, nn.BatchNorm2d) and name.startswith(parts)
    ]
    for _, norm in fuse_conv_bn:
        norm.weight.data.fill_(1)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    return [name for name, _ in fuse_conv_bn]


@pytest.mark.parametrize('config', ['nanodet_m_snv2_shapes', 'retinanet_snv2_lite', 'faster_rcnn_snv2_lite'])
@pytest.mark.parametrize('part', ['backbone', 'neck', 'bbox_head', 'rpn_head'])
def test_folded_norms_are_recognized_in_every_part(config, part):
    model = as_trained(detector(dict(init_cfg=None), config))
    assert [name for name, _ in folded_norms(model)] == []
    fuse_conv_bn = fold(model, part)
    assert [name for name, _ in folded_norms(model)] == fuse_conv_bn


@pytest.mark.parametrize('bias', [0.0, 0.0001])
def test_untrained_norms_are_not_folded(bias):
    model = detector()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.constant_(norm.bias, bias)
    assert list(folded_norms(model)) == []


def test_detector_weights_need_no_download_and_keep_folded_norms(run, tmp_path, capfd):
    start = as_trained(detector())
    fuse_conv_bn = fold(start, ('backbone', 'bbox_head.cls_convs.0'))
    torch.save(
        dict(state_dict={f'module.{key}': value for key, value in start.state_dict().items()}), tmp_path / 'start.pth'
    )
    end = run(load_from=str(tmp_path / 'start.pth'))
    for name, norm in start.named_modules():
        if isinstance(norm, nn.BatchNorm2d):
            same = torch.equal(norm.running_mean, end[f'{name}.running_mean'])
            assert same == (name in fuse_conv_bn), name
    assert not torch.equal(end['backbone.stage2.0.branch1.3.bias'], start.backbone.stage2[0].branch1[3].bias)
    said = capfd.readouterr().out
    assert f'backbone: all weights are in {tmp_path}/start.pth' in said
    assert f'{len(fuse_conv_bn) - 1} batch norms (backbone, bbox_head) are fused' in said  # one is in the frozen stem


@pytest.mark.parametrize('part', ['neck', 'backbone.stage2'])
def test_incomplete_backbone_does_not_replace_weights(run, tmp_path, part):
    torch.save(
        {key: value for key, value in detector().state_dict().items() if key.startswith(part)}, tmp_path / 'part.pth'
    )
    with pytest.raises(UserError, match='cannot be downloaded') as error:
        run(load_from=str(tmp_path / 'part.pth'))
    assert str(error.value).endswith(
        'Or train from random weights: `cfg_options` model.backbone.init_cfg=None model.backbone.frozen_stages=-1'
    )


class Runner:
    """What the hook asks of MMEngine's."""

    def __init__(self, model, load_from=None):
        self.model, self._load_from, self.logger = model, load_from, logging.getLogger('start_weights')


@pytest.mark.parametrize(
    ('backbone', 'flags'),
    [
        (dict(frozen_stages=0, norm_eval=True), 'model.backbone.frozen_stages=-1 model.backbone.norm_eval=False'),
        (dict(frozen_stages=1), 'model.backbone.frozen_stages=-1'),
        (dict(norm_eval=True), 'model.backbone.norm_eval=False'),
        (dict(), None),
        (dict(frozen_stages=0, init_cfg=dict(type='Pretrained', checkpoint=NAME)), None),
    ],
)
def test_remaining_random_weights_are_reported(backbone, flags, caplog):
    StartWeightsHook().before_run(Runner(detector(backbone)))
    said = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    assert [message.partition('`cfg_options` ')[2] for message in said] == ([flags] if flags else [])


def test_weights_from_a_file_are_not_random(tmp_path, caplog):
    model = detector(dict(frozen_stages=0, norm_eval=True))
    torch.save(
        dict(state_dict={f'model.{key}': value for key, value in model.state_dict().items()}), tmp_path / 'all.pth'
    )
    StartWeightsHook().before_run(Runner(model, str(tmp_path / 'all.pth')))
    assert not caplog.records


@pytest.mark.parametrize(
    ('model', 'flags'),
    [
        (
            dict(backbone=dict(frozen_stages=1, norm_eval=True, init_cfg=dict(type='Pretrained', checkpoint=NAME))),
            'model.backbone.init_cfg=None model.backbone.frozen_stages=-1 model.backbone.norm_eval=False',
        ),
        (
            dict(backbone=dict(), neck=dict(init_cfg=[dict(type='Xavier'), dict(type='Pretrained', checkpoint=NAME)])),
            'model.neck.init_cfg=None',
        ),
        (dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='another')), teacher_ckpt=NAME), None),
    ],
)
def test_advice_names_the_failed_download(model, flags):
    failed = DownloadError(f'{NAME} cannot be downloaded.')
    failed.filename = NAME
    with pytest.raises(UserError) as error, download_advice(SimpleNamespace(model=ConfigDict(model))):
        raise failed
    assert str(error.value) == f'{NAME} cannot be downloaded.' + (
        f' Or train from random weights: `cfg_options` {flags}' if flags else ''
    )
