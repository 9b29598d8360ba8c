"""The command that is printed when a run was stopped."""

import sys

import pytest

from mmdet_shufflenetv2.training.fault_tolerance.resume_command import resume_command


@pytest.mark.parametrize(
    ('typed', 'environment', 'expected'),
    [
        (['c.py', '--amp'], {}, 'python train.py c.py --amp --resume'),
        (['c.py', '--resume', '--amp'], {}, 'python train.py c.py --amp --resume'),
        (['c.py', '--resume', 'epoch_3', '--amp'], {}, 'python train.py c.py --amp --resume'),
        (['--resume=epoch_3.pth', 'my config.py'], {}, "python train.py 'my config.py' --resume"),
        (['c.py'], {'LOCAL_WORLD_SIZE': '8'}, 'torchrun --nproc-per-node 8 train.py c.py --resume'),
        (
            ['c.py'],
            {'LOCAL_WORLD_SIZE': '8', 'GROUP_WORLD_SIZE': '2'},
            'torchrun --nnodes 2 --rdzv-backend c10d '
            '--rdzv-endpoint HOST:29500 --nproc-per-node 8 train.py c.py --resume',
        ),
    ],
)
def test_resume_command_has_resume_once(typed, environment, expected, monkeypatch):
    for name in ('TORCHELASTIC_RUN_ID', 'GROUP_WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, 'argv', ['train.py', *typed])
    assert resume_command() == expected


@pytest.mark.parametrize(
    ('program', 'expected', 'with_torchrun'),
    [
        ('tools/train.py', 'python tools/train.py', 'torchrun --nproc-per-node 2 tools/train.py'),
        ('/venv/bin/snv2', 'snv2', 'torchrun --nproc-per-node 2 -m mmdet_shufflenetv2'),
        (
            '/venv/mmdet_shufflenetv2/__main__.py',
            'python -m mmdet_shufflenetv2',
            'torchrun --nproc-per-node 2 -m mmdet_shufflenetv2',
        ),
    ],
)
def test_resume_command_starts_the_same_program(program, expected, with_torchrun, monkeypatch):
    monkeypatch.delenv('TORCHELASTIC_RUN_ID', raising=False)
    monkeypatch.delenv('GROUP_WORLD_SIZE', raising=False)
    monkeypatch.setattr(sys, 'argv', [program, 'train', 'c.py'])
    assert resume_command() == f'{expected} train c.py --resume'
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    assert resume_command() == f'{with_torchrun} train c.py --resume'
