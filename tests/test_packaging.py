"""Content of the wheel and the source archive, also for mim."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
import yaml
from conftest import ROOT

CONFIGS = sorted(
    str(path.relative_to(ROOT)) for folder in ('configs', 'configs/imagenet') for path in (ROOT / folder).glob('*.py')
)


def test_the_index_lists_every_config_once():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    models = [model for file in index['Import'] for model in yaml.safe_load((ROOT / file).read_text())['Models']]
    assert sorted(model['Config'] for model in models) == CONFIGS
    assert all(model['Name'] == model['Config'].split('/')[-1].removesuffix('.py') for model in models)


def test_files_in_the_makefile_exist():
    named = set(re.findall(r'(?<![\w/])(?:tests|tools|requirements)/[\w/.-]+', (ROOT / 'Makefile').read_text()))
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]


# Packages of the extras, and the modules that only exports to LiteRT import.
WITHOUT_EXTRAS = """
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys(
    'onnx onnxruntime openvino ncnn pnnx ai_edge_litert coremltools gradio trackers pillow_heif tensorboard'.split()))
import mmdet_shufflenetv2
for module in pkgutil.walk_packages(mmdet_shufflenetv2.__path__, 'mmdet_shufflenetv2.'):
    if not module.name.endswith(('__main__', 'deploy.tflite', 'deploy.tflite_precision')):
        importlib.import_module(module.name)
"""


def test_no_extra_is_needed_to_import_any_module():
    done = subprocess.run([sys.executable, '-c', WITHOUT_EXTRAS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with a wheel and the source archive."""
    folder = tmp_path_factory.mktemp('dist')
    code = f'from setuptools import build_meta as b; b.build_sdist({str(folder)!r}); b.build_wheel({str(folder)!r})'
    source = folder / 'source'
    subprocess.run(['git', 'clone', '--quiet', ROOT, source], check=True)
    # What is not committed yet belongs to it.
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'model-index.yml', 'README.md', 'CHANGELOG.md'):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for path in (ROOT / 'docs').glob('*.md'):
        (source / 'docs' / path.name).write_bytes(path.read_bytes())
    subprocess.run([sys.executable, '-c', code], cwd=source, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(scope='module')
def built(folder):
    """The names in the wheel, and in the source archive."""
    with zipfile.ZipFile(next(folder.glob('*.whl'))) as wheel, tarfile.open(next(folder.glob('*.tar.gz'))) as sdist:
        return wheel.namelist(), [name.split('/', 1)[-1] for name in sdist.getnames()]


def test_wheel_has_configs_and_tools_for_mim(built):
    wheel = built[0]
    for name in [
        *CONFIGS,
        'configs/_base_/light_head_rcnn.py',
        'configs/metafile.yml',
        'model-index.yml',
        'tools/train.py',
        'tools/_tool.py',
        'tools/dist_train.sh',
    ]:
        assert f'mmdet_shufflenetv2/.mim/{name}' in wheel
    assert 'mmdet_shufflenetv2/deploy/targets/web_page/index.html' in wheel
    assert not [name for name in wheel if name.startswith(('tests/', 'benchmarks/')) or '__pycache__' in name]


def test_archives_contain_py_typed(built):
    assert all('mmdet_shufflenetv2/py.typed' in names for names in built)


@pytest.mark.slow
def test_the_wheel_installs_the_command_snv2(folder, tmp_path):
    wheel = next(folder.glob('*.whl'))
    subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', '--target', tmp_path, wheel],
        check=True,
    )
    ended = subprocess.run(
        [tmp_path / 'bin' / 'snv2', '--help'],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(tmp_path)},
    )
    assert ended.stdout.startswith('usage: snv2 COMMAND')
    code = 'import mmdet_shufflenetv2 as package; print(package.__file__)'
    imported = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(tmp_path)},
    )
    assert imported.stdout.startswith(str(tmp_path))


def test_source_archive_builds_the_wheel(built):
    for name in [
        *CONFIGS,
        'model-index.yml',
        'CHANGELOG.md',
        'tools/train.py',
        'mmdet_shufflenetv2/models/backbones/shufflenet_v2.py',
        'mmdet_shufflenetv2/deploy/targets/web_page/index.html',
    ]:
        assert name in built[1]


def test_source_archive_has_the_pages_of_its_readme(built):
    linked = set(re.findall(r'\((docs/[^)#]+|CHANGELOG.md)', (ROOT / 'README.md').read_text()))
    assert {'docs/your_data.md', 'docs/commands.md', 'CHANGELOG.md'} <= linked
    assert not linked - set(built[1])
