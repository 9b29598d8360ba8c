"""Networks and schedules of the ImageNet configs."""

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch.optim import lr_scheduler

from mmdet_shufflenetv2.profiling.complexity import count_multiply_adds

FOLDER = ROOT / 'configs' / 'imagenet'
AUTHORS, TORCHVISION = 'shufflenet_v2_1.0x', 'shufflenet_v2_torchvision_1.0x'

# Millions of multiply-adds and of parameters: table 5 of the paper (the authors' network), torchvision's own counts
# (_ops and num_params of its weights).
COUNTS = {
    'shufflenet_v2_0.5x': (41, 1.4),
    'shufflenet_v2_1.0x': (146, 2.3),
    'shufflenet_v2_1.5x': (299, 3.5),
    'shufflenet_v2_2.0x': (591, 7.4),
    'shufflenet_v2_torchvision_0.5x': (40, 1.366792),
    'shufflenet_v2_torchvision_1.0x': (145, 2.278604),
    'shufflenet_v2_torchvision_1.5x': (296, 3.503624),
    'shufflenet_v2_torchvision_2.0x': (583, 7.393996),
}


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


@pytest.mark.parametrize('name', sorted(path.stem for path in FOLDER.glob('*.py')))
def test_a_config_builds_a_classifier_of_its_width(name):
    cfg = load(name)
    model = MODELS.build(cfg.model).eval()
    assert str(cfg.model.backbone.widen_factor) in name
    assert (
        model.backbone.architecture.stages
        == {0.5: (48, 96, 192), 1.0: (116, 232, 464), 1.5: (176, 352, 704), 2.0: (244, 488, 976)}[
            cfg.model.backbone.widen_factor
        ]
    )
    assert cfg.model.backbone.get('large_receptive_field', False) == ('star' in name)
    assert cfg.model.backbone.get('with_se', False) == ('_se_' in name)
    assert (model.backbone.variant == 'torchvision') == ('torchvision' in name)
    assert model.dropout.p == (0.2 if '2.0x' in name and 'torchvision' not in name else 0)
    if name in COUNTS:
        multiply_adds, parameters = COUNTS[name]
        assert count_multiply_adds(model, torch.zeros(1, 3, 224, 224)) / 1e6 == pytest.approx(multiply_adds, abs=0.6)
        counted = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        assert counted == pytest.approx(parameters, abs=0 if 'torchvision' in name else 0.05)


@pytest.mark.parametrize(
    'path', [p for p in FOLDER.glob('*.py') if 'torchvision_0.5x' not in p.name], ids=lambda path: path.stem
)
def test_config_has_only_entries_that_differ(path):
    assert len(path.read_text().splitlines()) <= 5


def decays(name):
    """The decay of each parameter."""
    cfg = load(name)
    model = MODELS.build(cfg.model)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {parameter: key for key, parameter in model.named_parameters()}
    return {
        names[parameter]: group['weight_decay']
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }, model


def test_authors_recipe_decays_weights_with_several_dimensions():
    found, model = decays(AUTHORS)
    assert found == {key: 4e-5 if parameter.ndim > 1 else 0 for key, parameter in model.named_parameters()}


def test_torchvision_recipe_decays_everything_but_norms():
    found, model = decays(TORCHVISION)
    norms = {
        f'{name}.{kind}'
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
        for kind in ('weight', 'bias')
    }
    assert found == {key: 0 if key in norms else 2e-5 for key, _ in model.named_parameters()}


def learning_rates(name, epoch_length=1):
    cfg = load(name)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=cfg.optim_wrapper.optimizer.lr)
    schedules = cfg.param_scheduler if isinstance(cfg.param_scheduler, list) else [cfg.param_scheduler]
    built = [
        PARAM_SCHEDULERS.build(schedule, default_args=dict(optimizer=optimizer, epoch_length=epoch_length))
        for schedule in schedules
    ]
    rates = []
    for _ in range(cfg.train_cfg.max_epochs * epoch_length):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for schedule in built:
            schedule.step()
    return rates


def test_authors_learning_rate_decays_linearly():
    rates = learning_rates(AUTHORS, epoch_length=5)
    assert rates == pytest.approx([0.5 * (1 - step / 1199) for step in range(1200)], abs=1e-9)


def test_torchvision_learning_rate_matches_its_reference():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    schedule = lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=5),
            lr_scheduler.CosineAnnealingLR(optimizer, T_max=595),
        ],
        milestones=[5],
    )
    expected = []
    for _ in range(600):
        expected.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        schedule.step()
    assert learning_rates(TORCHVISION) == pytest.approx(expected, abs=1e-9)


def test_an_epoch_of_imagenet_is_1251_steps_of_1024_images():
    cfg = load(AUTHORS)
    assert cfg.train_dataloader.drop_last
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=8 * cfg.train_dataloader.batch_size)
    assert 1281167 // 1024 * cfg.train_cfg.max_epochs == 300240
