"""Untrusted configs."""

import inspect
import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from mmengine.config import Config

from mmdet_shufflenetv2 import UserError
from mmdet_shufflenetv2.config import plain as plain_config
from mmdet_shufflenetv2.config.plain import load_plain_config, parse_config_text


@pytest.mark.parametrize(
    'name', ['faster_rcnn_snv2', 'nanodet_m_snv2', 'light_head_rcnn_snv2_1x', 'imagenet/shufflenet_v2_1.0x']
)
@pytest.mark.parametrize('suffix', ['json', 'yaml'])
def test_a_dumped_config_is_read_unchanged(name, suffix, tmp_path):
    complete = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    complete.dump(tmp_path / f'complete.{suffix}')
    read = load_plain_config(tmp_path / f'complete.{suffix}')
    assert json.dumps(read.to_dict(), sort_keys=True) == json.dumps(
        Config.fromfile(tmp_path / f'complete.{suffix}').to_dict(), sort_keys=True
    )


def test_project_config_can_be_the_base(tmp_path):
    (tmp_path / 'mine.json').write_text(
        json.dumps({'_base_': str(ROOT / 'configs' / 'retinanet_snv2.py'), 'model': {'bbox_head': {'num_classes': 7}}})
    )
    (tmp_path / 'more.yaml').write_text('_base_: mine.json\ntrain_cfg: {max_epochs: 3}')
    read = load_plain_config(tmp_path / 'more.yaml')
    assert (read.model.bbox_head.num_classes, read.model.bbox_head.type, read.train_cfg.max_epochs) == (
        7,
        'RetinaHead',
        3,
    )


@pytest.mark.parametrize(
    ('name', 'text', 'words'),
    [
        ('x.yaml', '!!python/object/apply:os.system ["touch ran"]', 'cannot be read'),
        ('x.yaml', 'a: &a [1, 2]\nb: [*a, *a]', 'aliases'),
        ('x.yaml', '- 1', 'not a config'),
        ('x.json', '{"model": {"type": "os.system", "command": "touch ran"}}', "'os.system'"),
        ('x.json', '{"model": {"type": "antigravity"}}', "'antigravity'"),
        ('x.json', '{"model": {"type": "mmengine.utils.import_modules_from_strings"}}', 'is not registered'),
        ('x.json', '{"optim_wrapper": {"constructor": "ran"}}', "'ran'"),
        ('x.json', '{"hook": {"ema_type": "os.system"}}', "'os.system'"),
        ('x.json', '{"custom_imports": {"imports": ["ran"]}}', 'imports untrusted modules: ran'),
        ('x.json', '{"custom_imports": "ran"}', 'imports untrusted modules: ran'),
        ('x.json', '{"default_scope": "ran"}', 'default_scope'),
        ('x.json', '{"model": {"backbone": {"_scope_": "ran"}}}', '_scope_'),
        ('x.json', '{"model": {"type": "CameraMotionCompensation", "warp_mode": "open(1)"}}', 'can run code'),
        ('x.json', '{"custom_hooks": [{"type": "mmcv.RFSearchHook", "config": {}}]}', 'can run code'),
        ('x.json', '{"model": {"type": "LAD", "teacher_config": "x.json"}}', 'can run code'),
        ('x.json', '{"model": {"teacher_config": "ran.py"}}', 'could run code'),
        ('x.json', '{"runner_type": "ran"}', "'ran'"),
        ('x.json', '{"a\'+": 1}', 'is not a valid key'),
        ('x.json', '{"test_dataloader": {"collate_fn": "ran.collate"}}', "'ran.collate'"),
        ('x.json', '{"test_dataloader": {"dataset": {"proposal_file": "x.PKL"}}}', 'could run code'),
        ('x.json', '{"_base_": ["one.json", "two.json"]}', 'duplicate entries in its bases: model'),
        ('x.json', '{"_base_": "ran.py"}', 'JSON and YAML'),
        ('x.json', '{"_base_": "x.json"}', 'circular'),
        ('x.json', '{"_base_": 3}', '_base_'),
        ('x.json', '[' * 100_000 + ']' * 100_000, 'cannot be read'),
        ('x.json', '{"model": ', 'cannot be read'),
        ('x.py', 'import os; os.system("touch ran")', 'JSON and YAML'),
    ],
    ids=range(27),
)
def test_untrusted_config_runs_no_code(name, text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'ran.py').write_text('open("ran", "w")')
    for base in ('one.json', 'two.json'):
        (tmp_path / base).write_text('{"model": {}}')
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        load_plain_config(tmp_path / name)
    assert not (tmp_path / 'ran').exists()


# These evaluate only the name of a registered operator or function.
HARMLESS = {'batched_nms', 'Runner', 'FlexibleRunner'}


def test_rejects_every_registered_type_that_runs_its_arguments():
    pattern = re.compile(
        r"(?<![.\w])(eval|exec|__import__)\(|import_module|Config\.fromfile|allow_pickle=True|'pkl'|"
        r'pickle\.load|FUNCTIONS\.get'
    )
    found = set()
    for name, each in plain_config._registered().items():
        if not (inspect.isclass(each) or inspect.isfunction(each)) or not each.__module__.startswith('mm'):
            continue
        if pattern.search(Path(inspect.getsourcefile(each)).read_text()) and pattern.search(inspect.getsource(each)):
            found.add(name)
    refused = {name for name in found if plain_config._runs_its_arguments(plain_config._registered()[name])}
    assert found - refused == HARMLESS


@pytest.mark.parametrize(
    'name',
    [
        'train.py',
        'test.py',
        'infer.py',
        'export.py',
        'complexity.py',
        'design_check.py',
        'benchmark.py',
        'browse.py',
        'demo.py',
    ],
)
def test_every_tool_can_reject_python_configs(tool, name, tmp_path, shapes_root):
    (tmp_path / 'x.py').write_text('raise SystemExit(7)')
    config = ['--config', tmp_path / 'x.py'] if name in ('benchmark.py', 'demo.py') else [tmp_path / 'x.py']
    more = {'test.py': ['x.pth'], 'infer.py': ['x.pth', shapes_root / 'val2017'], 'export.py': ['x.pth', 'x.onnx']}.get(
        name, []
    )
    ended = tool(name, *config, *more, '--no-python-config')
    assert (ended.status, 'JSON and YAML' in ended.err) == (2, True), ended.err


@pytest.mark.parametrize('name', ['faster_rcnn_snv2', 'nanodet_m_snv2', 'light_head_rcnn_snv2_1x'])
def test_the_config_text_in_a_checkpoint_is_read_unchanged(name):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    cfg.param_scheduler[0]['end'] = float('inf')
    cfg.model.extra = {'a.b': [(-1, 1e-5, None, {'x': ()})]}
    assert parse_config_text(cfg.pretty_text, Path('x.pth')).to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ("__import__('os').system('touch ran')", 'line 1 is not an entry'),
        ("import os\nos.system('touch ran')", 'line 1 is not an entry'),
        ("model = __import__('os').system('touch ran')", 'more than plain values'),
        ("model = dict(type=open('ran', 'w'))", 'more than plain values'),
        ("model = dict(a=[(lambda: open('ran', 'w'))()])", 'more than plain values'),
        ("model = dict(**open('ran', 'w'))", 'more than plain values'),
        ("model = {open('ran', 'w'): 1}", 'more than plain values'),
        ('model = f\'{open("ran", "w")}\'', 'more than plain values'),
        ("custom_imports = dict(imports=['ran'])", 'imports untrusted modules: ran'),
        ("model = dict(type='os.system', command='touch ran')", "'os.system'"),
        ("model = dict(type='LAD', teacher_config='x.json')", 'can run code'),
        ("test_dataloader = dict(collate_fn='ran.collate')", "'ran.collate'"),
        ("model = dict(teacher_config='ran.py')", 'could run code'),
        ("filename = 'x'", 'is invalid'),
        ('model = ' + '[' * 100000, 'more than plain values'),
        ('model = (', 'more than plain values'),
    ],
)
def test_code_in_a_checkpoints_config_is_never_run(text, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'ran.py').write_text("open('ran', 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=re.escape(words)):
        parse_config_text(text, Path('x.pth'))
    assert not (tmp_path / 'ran').exists()
