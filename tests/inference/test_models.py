import os
from pathlib import Path

import pytest
import torch
from tiny_graph import write

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.inference.models import Model, find_models


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(('a/a.py', 'a/epoch_1.pth', 'a/epoch_2.pth', 'b/d.onnx', 'c/stray.pth')):
        path = tmp_path / 'work_dirs' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({}, path)
        os.utime(path, (number, number))
    (tmp_path / 'c.py').touch()
    write(tmp_path / 'd.onnx')


def test_finds_checkpoints_with_their_configs_latest_first(runs):
    config = 'work_dirs/a/a.py'
    assert list(find_models().items()) == [
        ('work_dirs/b/d.onnx', Model('work_dirs/b/d.onnx', None)),
        ('work_dirs/a/epoch_2.pth', Model(config, 'work_dirs/a/epoch_2.pth')),
        ('work_dirs/a/epoch_1.pth', Model(config, 'work_dirs/a/epoch_1.pth')),
    ]


def test_config_applies_to_the_checkpoints_after_it(runs):
    one, two = 'work_dirs/a/epoch_1.pth', 'work_dirs/a/epoch_2.pth'
    assert find_models(['d.onnx', one, 'c.py', two]) == {
        'd.onnx': Model('d.onnx', None),
        one: Model('work_dirs/a/a.py', one),
        two: Model('c.py', two),
    }


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['nowhere.pth'], 'File not found: nowhere.pth'),
        (['c.py'], 'Expected CONFIG CHECKPOINT'),
        (['c.py', 'random.pth'], 'random.pth .*PyTorch checkpoint'),
        (['text.txt'], 'text.txt .*PyTorch checkpoint'),
        (['text.onnx'], 'text.onnx cannot be read as an ONNX graph'),
        (['d/a.pth'], 'd/a.pth has no config inside. Name its config before the checkpoint: CONFIG d/a'),
    ],
)
def test_rejects_arguments_without_a_detector(runs, arguments, words):
    Path('random.pth').write_bytes(bytes(range(1, 256)))
    for name in ('text.txt', 'text.onnx'):
        Path(name).write_text('hello')
    Path('d').mkdir()
    torch.save(dict(state_dict={'backbone.weight': torch.ones(1)}), 'd/a.pth')
    with pytest.raises(UserError, match=words):
        find_models(arguments)


def test_missing_checkpoint_is_an_error_with_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'No checkpoint found in work_dirs/\*/. Name some: snv2 app'):
        find_models()
