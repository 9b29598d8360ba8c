"""The package's errors name Python's arguments, and the command line's the flags: each command with one mistake, made
both ways."""

import ast
import re
from importlib import import_module

import pytest
from conftest import ROOT
from tiny_graph import write

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.cli import main
from mmdet_shufflenetv2.cli.commands import COMMANDS
from mmdet_shufflenetv2.cli.parser import make_parser

CONFIG = str(ROOT / 'configs' / 'faster_rcnn_snv2.py')


def call(where, *args, **kwargs):
    """Call a function of the package when the test runs."""

    def made():
        module, _, name = where.rpartition('.')
        getattr(import_module(f'mmdet_shufflenetv2.{module}'), name)(*args, **kwargs)

    return made


def benchmark():
    from mmdet_shufflenetv2.profiling.benchmark import Task, run_benchmarks

    run_benchmarks([Task(64, 64)], out=None, rounds=0, memory=False, command='')


def reproduce():
    from mmdet_shufflenetv2.paper.reproduce.request import Request
    from mmdet_shufflenetv2.paper.reproduce.rows import find_row

    Request(find_row('coco', '1.0'), 'out', gpus=0)


# Command: the mistake in Python, what is said; the mistake as it is typed, what is said.
MISTAKES = {
    'check-data': (
        call('training.check_dataset.check_dataset', 'a.json', images='nowhere'),
        'images=nowhere: folder',
        ['a.json', '--images', 'nowhere'],
        '--images nowhere: folder not found',
    ),
    'convert': (
        call('data.conversion.convert', 'data', 'file'),
        'out=file exists',
        ['data', 'file', '--to', 'yolo'],
        'error: file exists',
    ),
    'browse': (
        call('training.browse.browse', CONFIG, count=0),
        'count=0: expected',
        [CONFIG, '--count', '0'],
        '--count 0: expected',
    ),
    'download': (
        call('data.coco.prepare_coco', 'coco', splits=['test']),
        'splits=test: expected',
        ['--splits', 'test'],
        '--splits test: expected',
    ),
    'train': (
        call('training.train.train', CONFIG, epochs=-1),
        'epochs=-1: expected',
        [CONFIG, '--epochs', '-1'],
        '--epochs -1: expected',
    ),
    'eval': (
        call('evaluation.evaluate.evaluate', CONFIG, 'a.pth', out='a.csv'),
        'out=a.csv: expected',
        [CONFIG, 'a.pth', '--out', 'a.csv'],
        '--out a.csv: expected',
    ),
    'analyze': (
        call('evaluation.error_report.analyze', 'a.json', score_thr=30),
        'score_thr=30: expected',
        ['a.json', '--score-thr', '30'],
        '--score-thr 30.0: expected',
    ),
    'plot': (
        call('visualization.curves.plot_runs', ['run'], 'a.txt'),
        'out=a.txt has an unknown suffix',
        ['run', '--out', 'a.txt'],
        '--out a.txt has an unknown suffix',
    ),
    'demo': (
        call('training.train.train', 'small.py', work_dir='file/a'),
        '`work_dir`: cannot create the folder file/a',
        ['--config', 'small.py', '--work-dir', 'file/a'],
        '--work-dir: cannot create the folder file/a',
    ),
    'predict': (
        call('inference.predict.predict', CONFIG, 'a.pth', ['a.jpg'], score_thr=30),
        'score_thr=30: expected',
        [CONFIG, 'a.pth', 'a.jpg', '--score-thr', '30'],
        '--score-thr 30.0: expected',
    ),
    'app': (
        call('inference.page.serve', {}, port=0),
        'port=0: expected',
        ['a.onnx', '--port', '0'],
        '--port 0: expected',
    ),
    'export': (
        call('deploy.export_model', CONFIG, 'a.pth', 'a.onnx', target='b'),
        'target=b is unknown',
        [CONFIG, 'a.pth', 'a.onnx', '--target', 'b'],
        '--target b is unknown',
    ),
    'benchmark': (benchmark, 'rounds=0: expected', ['--rounds', '0'], '--rounds 0: expected'),
    'complexity': (
        call('profiling.complexity.detector_complexity', CONFIG, 0, 0),
        'shape=0 0: expected',
        [CONFIG, '--shape', '0', '0'],
        '--shape 0 0: expected',
    ),
    'guidelines': (
        call('paper.guidelines.suite.run', ['G1'], seconds=0),
        'seconds=0: both',
        ['--seconds', '0'],
        '--seconds 0.0: both',
    ),
    'design-check': (
        call('paper.design_check.check.check_designs', [CONFIG], rounds=0),
        'rounds=0 shape=320 320',
        [CONFIG, '--rounds', '0'],
        '--rounds 0 --shape 320 320',
    ),
    'reproduce': (
        reproduce,
        'gpus=0: expected',
        ['--table', 'coco', '--width', '1.0', '--gpus', '0'],
        '--gpus 0: expected',
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch, small_config):
    """A working folder with one file, which is not a folder, an exported detector, and a config with data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    write(tmp_path / 'a.onnx')
    (tmp_path / 'small.py').write_text(small_config.read_text())
    return tmp_path


def test_every_command_with_options_has_a_mistake():
    with_flags = {
        name
        for name, command in COMMANDS.items()
        if any(action.option_strings for action in make_parser(command.options, name)._actions if action.dest != 'help')
    }
    assert with_flags == set(MISTAKES)


@pytest.mark.parametrize('name', MISTAKES)
def test_errors_in_python_name_arguments(name, folder):
    made, said, _, _ = MISTAKES[name]
    with pytest.raises(UserError, match=re.escape(said)) as error:
        made()
    assert '--' not in str(error.value)


@pytest.mark.parametrize('name', MISTAKES)
def test_errors_on_the_command_line_name_flags(name, folder, capsys):
    _, _, typed, said = MISTAKES[name]
    with pytest.raises(SystemExit) as end:
        main([name, *typed])
    assert end.value.code == 2
    told = capsys.readouterr().err
    lines = told[told.index('error: ') :].strip().splitlines()
    assert len(lines) <= 2
    assert 'Traceback' not in told
    assert said in lines[0]


# Commands to type, in which a flag is the only word there is.
TO_TYPE = re.compile(
    r'snv2 (eval|reproduce|check-data)|pip install|torchrun|^--cfg-options$|--resume(=|$)|^ --from FILE$'
)


def test_package_has_flags_only_in_commands():
    flags = {
        flag
        for command in COMMANDS.values()
        for action in make_parser(command.options, '')._actions
        for flag in action.option_strings
        if flag.startswith('--') and flag != '--help'
    }
    named = re.compile('|'.join(rf'{flag}(?![\w-])' for flag in sorted(flags, key=len, reverse=True)))
    package = ROOT / 'mmdet_shufflenetv2'
    found = []
    for path in sorted(package.rglob('*.py')):
        if path.is_relative_to(package / 'cli') or path in (
            package / 'config' / 'options.py',
            package / 'utils' / 'options.py',
        ):
            continue
        tree = ast.parse(path.read_text())
        docstrings = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node not in docstrings
                and named.search(node.value)
                and not TO_TYPE.search(node.value)
            ):
                found.append(f'{path.relative_to(ROOT)}:{node.lineno}: {node.value}')
    assert not found
