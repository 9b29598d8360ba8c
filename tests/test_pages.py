"""Commands and Python code on all pages: files and flags exist, and the code runs."""

import argparse
import ast
import functools
import glob
import importlib
import importlib.util
import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from conftest import ROOT, SHARED
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from mmdet_shufflenetv2.cli.commands import COMMANDS as COMMANDS_OF_SNV2
from mmdet_shufflenetv2.cli.parser import make_parser
from mmdet_shufflenetv2.cli.parser import parse as parse_options

PAGES = [*sorted(ROOT.glob('*.md')), *sorted((ROOT / 'docs').glob('*.md'))]
# Programs that are not this project's, and why they are not run here.
OTHERS = {
    'source': 'of the shell',
    'cd': 'of the shell',
    'pre-commit': 'of the repository',
    'tensorboard': 'a server',
    'mim': 'downloads',
    'cmake': 'tests/deploy/test_programs.py runs it',
    'build/programs/detect_openvino': 'likewise',
    'build/programs/detect_ncnn': 'likewise',
    'labelme2coco': 'not installed',
    'supervision': 'not installed',
    'trtexec': 'of TensorRT',
}
# What "your own config" builds on where a page does not say it.
BASES = {'README.md': 'faster_rcnn_snv2.py', 'backbone.md': 'faster_rcnn_snv2.py', 'imagenet.md': 'faster_rcnn_snv2.py'}


def blocks(page, language):
    return re.findall(rf'^```{language}\n(.*?)^```', page.read_text(), re.M | re.S)


def commands(page):
    """The command lines of a page: of its blocks, and of its sentences."""
    text = page.read_text()
    lines = [line for block in blocks(page, 'bash') for line in block.replace('\\\n', ' ').splitlines()]
    lines += re.findall(r'^\$ (.+)$', text, re.M)
    prose = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    inline = re.findall(r'`((?:python|snv2|make|pip install|mim|tools/\S+\.sh) [^`]+)`', prose)
    lines += [' '.join(code.split()) for code in inline]
    for line in lines:
        for part in line.split(' && '):
            if words := shlex.split(part, comments=True):
                yield words


COMMANDS = [pytest.param(words, id=f'{page.name}: {" ".join(words)}') for page in PAGES for words in commands(page)]


class _Parsed(BaseException):
    """The parsed arguments of a script, which is stopped after parsing."""


@pytest.fixture
def parse(monkeypatch):
    """The options that a command line asks for: of ``snv2 NAME ...``, ``tools/NAME.py ...``, or of another script."""

    def call(tool, *args):
        monkeypatch.setenv('MMDET_SNV2_NO_PYTHON_CONFIG', '')
        if tool == 'snv2' or tool.startswith('tools/'):
            name, *args = args if tool == 'snv2' else [door(tool), *args]
            return parse_options(COMMANDS_OF_SNV2[name].options, args, name)

        def stop(parser, args=None, namespace=None):
            raise _Parsed(real(parser, args, namespace))

        real = argparse.ArgumentParser.parse_args
        monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        monkeypatch.setattr(sys, 'argv', [tool, *args])
        monkeypatch.syspath_prepend(str(ROOT / Path(tool).parent))
        with pytest.raises(_Parsed) as parsed:
            runpy.run_path(str(ROOT / tool), run_name='__main__')
        return parsed.value.args[0]

    return call


def door(tool):
    """The command that a file of tools/ runs."""
    return re.search(r"^SNV2_COMMAND = '(.+)'$", (ROOT / tool).read_text(), re.M)[1]


def required(name):
    """How many arguments without a flag a command must have."""
    return sum(action.required for action in make_parser(COMMANDS_OF_SNV2[name].options, name)._actions)


def check_files(args):
    """Files of this project that a command names are there."""
    for word in args:
        if re.match(r'(configs|tools|tests|benchmarks)/', word):
            pattern = re.sub(r'\{.*?\}', '*', word)
            assert glob.glob(str(ROOT / pattern)), f'{word} is not there'


@functools.cache
def make_targets():
    return set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.M))


@pytest.mark.parametrize('words', COMMANDS)
def test_commands_on_pages_have_existing_files_and_flags(words, parse, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    while re.fullmatch(r'[A-Z_]+=\S+', words[0]):
        words = words[1:]
    tool = next(
        (
            place
            for place, word in enumerate(words)
            if re.fullmatch(r'(tools|benchmarks|tests)/\S+\.py', word) and 'pytest' not in words
        ),
        None,
    )
    check_files(words)
    if words[0] == 'make':
        assert {word for word in words[1:] if '=' not in word} <= make_targets()
    elif words[0].endswith('.sh'):
        tool = 'tools/train.py' if 'train' in words[0] else 'tools/test.py'
        at = next(place for place, word in enumerate(words) if word.isdigit())
        parse(tool, *words[1:at], *words[at + 1 :])
    elif words[0] == 'snv2' or words[:3] == ['python', '-m', 'mmdet_shufflenetv2']:
        name, *arguments = (words[1:] if words[0] == 'snv2' else words[3:]) or ['--help']
        if name not in ('--help', 'COMMAND'):
            if not arguments or arguments[0].startswith('--'):  # a sentence may name a command, or a flag of it
                arguments = ['X'] * required(name) + arguments
            check_config(parse('snv2', name, *arguments))
    elif tool is not None:
        assert words[0] in ('python', 'torchrun', 'srun')
        if words[tool].startswith('tools/') or 'parse_args' in (ROOT / words[tool]).read_text():
            args = parse(*words[tool:])
            check_config(args)
    elif words[:2] == ['python', '-c']:
        monkeypatch.chdir(tmp_path)
        if 'mmdet_shufflenetv2' in words[2]:
            exec(words[2], {})
        else:
            assert re.match(r'import (\w+)', words[2])[1] in OTHERS
    elif words[0] in ('python', 'torchrun') and '-m' in words:
        assert importlib.util.find_spec(words[words.index('-m') + 1])
    elif words[:2] == ['pip', 'install']:
        extras = re.findall(r'\.\[(.+?)\]', ' '.join(words))
        known = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
        assert {name for extra in extras for name in extra.split(',')} <= set(known)
    else:
        assert words[0] in OTHERS


def check_config(args):
    """The config is read with the entries that the command overrides."""
    from mmdet_shufflenetv2.config.load import load_config

    config = getattr(args, 'config', None)
    if isinstance(config, str) and config.startswith(('configs/', 'mmdet::')):
        load_config(config, getattr(args, 'cfg_options', None))


EPOCHS = [
    pytest.param(page, work_dir, int(epoch), id=f'{page.name}: {work_dir}/epoch_{epoch}.pth')
    for page in PAGES
    for work_dir, epoch in sorted(set(re.findall(r'work_dirs/(\w[\w.]*)/epoch_(\d+)\.pth', page.read_text())))
]


@pytest.mark.parametrize(('page', 'work_dir', 'epoch'), EPOCHS)
def test_checkpoints_on_pages_are_the_last_of_their_runs(page, work_dir, epoch, parse):
    from mmdet_shufflenetv2.config.load import load_config

    lengths = set()
    for words in commands(page):
        config = next((word for word in words if Path(word).stem == work_dir and word.startswith('configs/')), None)
        if config and words[:2] == ['snv2', 'train']:
            args = parse(*words)
            lengths.add(args.epochs or load_config(str(ROOT / config)).train_cfg.max_epochs)
    # Where the page trains nothing, it is a run of the config as it is.
    path = next((ROOT / 'configs').rglob(f'{work_dir}.py'))
    assert epoch in (lengths or {load_config(str(path)).train_cfg.max_epochs})


PYTHON = [
    pytest.param(page, block, id=f'{page.name}: {block.split(chr(10))[0]}')
    for page in PAGES
    for block in blocks(page, 'python')
]


@pytest.mark.parametrize(('page', 'block'), [one for one in PYTHON if 'model = dict(' in one.values[1]])
def test_a_config_on_a_page_builds_its_detector(page, block, tmp_path):
    from mmdet_shufflenetv2.config.load import load_config

    register_all_modules()
    # A block that names no base is the one before with other parts, or one's own config.
    before = re.findall(r'^_base_ = .*$', page.read_text().partition(block)[0], re.M)
    base = '' if '_base_' in block else before[-1] if before else f"_base_ = './{BASES[page.name]}'"
    (tmp_path / 'config.py').write_text(f'{base}\n{block}'.replace("'./", f"'{ROOT}/configs/"))
    with torch.device('meta'):
        MODELS.build(load_config(str(tmp_path / 'config.py')).model)


def write_checkpoint(path):
    """A checkpoint of a small detector with its config, as a training writes it."""
    from mmdet_shufflenetv2.config.load import load_config

    register_all_modules()
    config = load_config(str(ROOT / 'configs' / 'nanodet_m_snv2.py'))
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict=MODELS.build(config.model).state_dict()), path)


@pytest.mark.parametrize(('page', 'block'), [one for one in PYTHON if 'model = dict(' not in one.values[1]])
def test_code_on_a_page_runs(page, block, tmp_path, monkeypatch, shapes_root):
    from tiny_graph import write

    from mmdet_shufflenetv2 import ShuffleNetV2
    from mmdet_shufflenetv2.config.load import load_config

    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photo.jpg').symlink_to(shapes_root / 'val2017' / '000000000001.jpg')
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    if 'detector.onnx' in block:
        pytest.importorskip('onnxruntime')
        write(tmp_path / 'detector.onnx')
    if 'best.pth' in block:
        write_checkpoint(tmp_path / 'best.pth')
    if 'nanodet_m.ckpt' in block:
        weights = SHARED / 'weights' / 'nanodet_m_320.pth'
        if not weights.exists():
            pytest.skip('needs the published weights')
        (tmp_path / 'nanodet_m.ckpt').symlink_to(weights)
    known = {}
    if 'shuffle_free' in block:
        register_all_modules()
        config = load_config(str(ROOT / 'configs' / 'nanodet_m_snv2.py'))
        known = dict(backbone=ShuffleNetV2(widen_factor=0.5).eval(), detector=MODELS.build(config.model).eval())
    if 'gradio_client' in block:
        gradio_client = pytest.importorskip('gradio_client')
        from mmdet_shufflenetv2.inference.models import find_models
        from mmdet_shufflenetv2.inference.page import make_page

        page = make_page(find_models(['detector.onnx']))
        page.launch(server_name='127.0.0.1', prevent_thread_lock=True, quiet=True, ssr_mode=False)
        client = gradio_client.Client
        monkeypatch.setattr(gradio_client, 'Client', lambda _: client(page.local_url, verbose=False))
    try:
        exec(compile(block, page.name if isinstance(page, Path) else 'page', 'exec'), known)
    finally:
        if 'gradio_client' in block:
            page.close()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_of_pages_exist(page):
    for link in re.findall(r'\]\(([^)#]+)(?:#[^)]*)?\)', page.read_text()):
        assert link.startswith(('https://', 'http://')) or (page.parent / link).exists(), link


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_files_on_pages_exist(page):
    named = r'`((?:mmdet_shufflenetv2|tests|configs|docs|tools|requirements)/[\w./-]+)`'
    for name in re.findall(named, page.read_text()):
        assert (ROOT / name).exists(), name


def test_modules_in_the_changelog_exist():
    rows = re.findall(r'^\| (`.+`) \| (`.+`) \|$', (ROOT / 'CHANGELOG.md').read_text(), re.M)
    assert len(rows) > 20
    for old, new in rows:
        for name in re.findall(r'`([\w.]+)`', new):
            assert importlib.util.find_spec(f'mmdet_shufflenetv2.{name}'), name
        first = re.findall(r'`([\w.]+)`', old)[0]
        assert not importlib.util.find_spec('mmdet_shufflenetv2.' + first.split('.')[0]) or first.startswith('compat.')


def test_rooms_are_in_import_order():
    layers = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['importlinter']['contracts'][0]['layers']
    assert (
        re.findall(r'^\| `(\w+)` \| ', (ROOT / 'docs' / 'architecture.md').read_text(), re.M)[: len(layers)] == layers
    )


def test_files_in_the_architecture_exist():
    page = (ROOT / 'docs' / 'architecture.md').read_text()
    for name in set(re.findall(r'`((?:\w+/)+(?:\w+\.py)?)`', page)):
        assert (ROOT / name).exists() or (ROOT / 'mmdet_shufflenetv2' / name).exists(), name
    for name in set(re.findall(r'`(\w+(?:\.\w+)+)`', page)):
        module, _, attribute = name.rpartition('.')
        if not name.endswith(('.py', '.md')):
            assert hasattr(importlib.import_module(f'mmdet_shufflenetv2.{module}'), attribute), name


#: Messages on the page about errors that are not this package's.
OTHERS_MESSAGES = ('No module named ', 'libGL.so.1', 'CUDA out of memory', 'DataLoader worker')


def messages():
    """The messages in the first column of the page's tables."""
    rows = (ROOT / 'docs' / 'troubleshooting.md').read_text().splitlines()
    cells = ' '.join(row.split(' | ')[0] for row in rows if row.startswith('| `'))
    return [message for message in re.findall('`([^`]+)`', cells) if not message.startswith(OTHERS_MESSAGES)]


@functools.cache
def strings():
    """All strings of the package, and the Makefile."""
    nodes = (node for path in ROOT.glob('mmdet_shufflenetv2/**/*.py') for node in ast.walk(ast.parse(path.read_text())))
    constants = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return '\n'.join([*constants, (ROOT / 'Makefile').read_text()])


@pytest.mark.parametrize('message', messages())
def test_messages_on_the_troubleshooting_page_exist(message):
    fixed = [part.strip(' \'":,') for part in re.split(r'\b[A-Z]+\b|--[a-z-]+', message)]
    assert any(len(part) > 10 and part in strings() for part in fixed)
