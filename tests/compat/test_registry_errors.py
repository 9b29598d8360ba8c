import importlib
import sys
from importlib.machinery import PathFinder
from types import ModuleType

import pytest
from mmdet.registry import LOOPS, MODELS
from mmengine.visualization import Visualizer

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.compat.registry_errors import registry_errors


@pytest.mark.parametrize(
    ('cfg', 'words'),
    [
        (dict(type='ShuffleNetV2', width=1), "unexpected keyword argument 'width'"),
        (dict(type='ShuffleNetV9'), 'ShuffleNetV9'),
    ],
)
def test_unknown_types_and_arguments_are_user_errors(cfg, words):
    with pytest.raises(UserError, match=words), registry_errors():
        MODELS.build(cfg)


@pytest.mark.parametrize('entry', [dict(max_epoch=3), dict(max_epochs=3)])
def test_invalid_arguments_of_a_base_class_are_user_errors(entry):
    with pytest.raises(UserError, match=r'EpochBasedTrainLoop.__init__\(\)'), registry_errors():
        LOOPS.build(dict(type='ResumableEpochLoop', **entry))


def test_an_error_inside_a_class_is_a_bug():

    @MODELS.register_module(force=True)
    class BuildsItsPartsWrongly:
        def __init__(self):
            LOOPS.get('EpochBasedTrainLoop')(max_epoch=3)

    with pytest.raises(TypeError), registry_errors():
        MODELS.build(dict(type='BuildsItsPartsWrongly'))


@pytest.mark.parametrize(
    'error', [TypeError("Hook.__init__() got an unexpected keyword argument 'x'"), KeyError('loss')]
)
def test_other_errors_keep_their_type(error):
    with pytest.raises(type(error)), registry_errors():
        raise error


@pytest.mark.parametrize(
    ('backend', 'package'),
    [
        ('Wandb', 'wandb'),
        ('MLflow', 'mlflow'),
        ('ClearML', 'clearml'),
        ('Neptune', 'neptune'),
        ('DVCLive', 'pygit2'),
        ('DVCLive', 'dvclive'),
        ('Aim', 'aim'),
        ('Tensorboard', 'tensorboard'),
    ],
)
def test_the_error_for_a_visualizer_backend_contains_its_package(backend, package, tmp_path, monkeypatch):
    if package == 'dvclive':
        monkeypatch.setitem(sys.modules, 'pygit2', ModuleType('pygit2'))
    hidden = [name for name in sys.modules if name.split('.')[0] == package or name == 'torch.utils.tensorboard']
    for name in {*hidden, package}:
        monkeypatch.delitem(sys.modules, name, raising=False)
    find = PathFinder.find_spec
    monkeypatch.setattr(PathFinder, 'find_spec', lambda name, *args: None if name == package else find(name, *args))
    with pytest.raises(UserError, match=rf'{backend}VisBackend.*pip install {package}\b'), registry_errors():
        Visualizer(vis_backends=[dict(type=f'{backend}VisBackend')], save_dir=str(tmp_path)).add_scalar('loss', 1.0)


def test_other_import_errors_keep_their_type():
    with pytest.raises(ModuleNotFoundError), registry_errors():
        importlib.import_module('there_is_no_such_module')
