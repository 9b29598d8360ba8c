"""``--help``: its speed, and its content."""

import subprocess
import sys

import pytest
from conftest import ROOT

from mmdet_shufflenetv2.cli import main
from mmdet_shufflenetv2.cli.commands import COMMANDS

HEAVY = ('torch', 'numpy', 'mmengine', 'mmdet', 'mmcv', 'cv2')


@pytest.mark.parametrize(
    'words',
    [
        ['-m', 'mmdet_shufflenetv2', '--help'],
        ['-m', 'mmdet_shufflenetv2', 'train', '--help'],
        ['-u', '-m', 'mmdet_shufflenetv2', 'predict', '--help'],
        ['tools/train.py', '--help'],
    ],
)
def test_help_imports_nothing_slow(words):
    ended = subprocess.run(
        [sys.executable, '-X', 'importtime', *words], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert 'usage: snv2' in ended.stdout
    imported = {line.rpartition('|')[2].strip() for line in ended.stderr.splitlines()}
    assert 'mmdet_shufflenetv2.cli' in imported
    assert not imported.intersection(HEAVY)


def test_the_list_of_commands_fits_one_screen(capsys):
    main(['--help'])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) < 80
    assert all(any(f' {name} ' in line for line in lines) for name in COMMANDS)


@pytest.mark.parametrize('name', COMMANDS)
def test_each_command_shows_its_options(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, '--help'])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f'usage: snv2 {name} ')


@pytest.mark.parametrize('name', COMMANDS)
def test_rejects_unknown_flags(name, capsys):
    if name == 'run':
        pytest.skip("flags behind the script are the script's")
    with pytest.raises(SystemExit) as end:
        main([name, '--nonsense'])
    assert end.value.code == 2
    assert 'Traceback' not in capsys.readouterr().err


def test_rejects_unknown_command_with_a_suggestion(capsys):
    with pytest.raises(SystemExit) as end:
        main(['trian'])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        'error: unknown command: trian. Did you mean train? snv2 --help lists the commands.\n'
    )


@pytest.mark.parametrize('path', sorted((ROOT / 'tools').glob('[!_]*.py')), ids=lambda path: path.name)
def test_each_tool_calls_a_command(path):
    line = next(line for line in path.read_text().splitlines() if line.startswith('SNV2_COMMAND = '))
    assert line.split("'")[1] in COMMANDS
