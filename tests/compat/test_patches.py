"""What is replaced of others goes through one register, and the README has a table of it."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import mmdet_shufflenetv2
from mmdet_shufflenetv2.compat.patches import PATCHES, install, replace, replaced

PACKAGE = Path(mmdet_shufflenetv2.__file__).parent
TREES = {str(path.relative_to(PACKAGE)): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob('*.py'))}
REGISTER = 'compat/patches.py'
OTHERS = ('torch', 'torchvision', 'mmengine', 'mmdet', 'mmcv', 'pycocotools', 'gradio', 'tqdm')
# Calls that change the process or a registry for everybody.
INSTALLS = {
    'signal.signal', 'atexit.register', 'warnings.filterwarnings', 'copyreg.pickle', 'sys.meta_path.append',
    'sys.meta_path.insert', 'register_backend', 'register_handler', 'CheckpointLoader.register_scheme', 'setStream'}


def imported(tree: ast.AST) -> set[str]:
    """The names that a module gives to what it imports of others."""
    return {(alias.asname or alias.name).split('.')[0] for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, 'level', 0)
            for alias in node.names
            if (getattr(node, 'module', None) or alias.name).split('.')[0] in OTHERS}


def root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return getattr(node, 'id', '')


def assigned(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)))


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    return ((ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def replaced_without_register(tree: ast.AST) -> Iterator[str]:
    theirs, attributes = imported(tree), {name.rpartition('.')[2] for name in PATCHES}
    for node in assigned(tree):
        # A module or class of others, and the methods that are replaced on single objects.
        if root(node) in theirs or (node.attr in attributes and root(node) != 'self'):
            yield f'{node.lineno}: {ast.unparse(node)}'
    # Functions that are given to the register, and settings that end with a block.
    given = {id(node) for name, call in calls(tree) if name.removeprefix('patches.') == 'install' for node in call.args}
    for name, call in calls(tree):
        forced = name.endswith('register_module') and any(word.arg == 'force' for word in call.keywords)
        patched = name in ('setattr', 'delattr') and root(call.args[0]) in theirs
        called = name in INSTALLS or name.endswith('.setStream') or name.startswith('mock.patch')
        if (forced or patched or called) and id(call) not in given:
            yield f'{call.lineno}: {ast.unparse(call)}'


def test_nothing_of_others_is_replaced_but_through_the_register():
    assert not [f'{path}:{found}' for path, tree in TREES.items() if path != REGISTER
                for found in replaced_without_register(tree)]


@pytest.mark.parametrize('code', [
    'import torch\ntorch.load = print', 'from mmdet.models import SSDHead\nSSDHead.loss_cls = None',
    'head.get_targets = print', 'import signal\nsignal.signal(2, print)', 'import torch\nsetattr(torch, "load", 1)',
    '@METRICS.register_module(force=True)\nclass A: ...'])
def test_a_replacement_beside_the_register_is_found(code):
    assert list(replaced_without_register(ast.parse(code)))


def test_every_patch_of_the_register_is_used_and_no_other():
    named = {call.args[0].value for path, tree in TREES.items() if path != REGISTER for name, call in calls(tree)
             if name.removeprefix('patches.') in ('install', 'replace', 'replaced')
             and isinstance(call.args[0], ast.Constant)}
    assert named == PATCHES.keys()


def test_the_readme_lists_each_patch_as_the_register_has_it():
    table = (PACKAGE / 'compat' / 'README.md').read_text().partition('## Patches')[2].partition('\n## ')[0]
    rows = [tuple(cell.strip() for cell in line.strip('|').split(' | ')) for line in table.splitlines()
            if line.startswith('| `')]
    assert [row[:2] for row in rows] == [(f'`{name}`', why) for name, why in PATCHES.items()]
    # When it is put in, and what makes it needless.
    assert all(len(row) == 4 and all(row) for row in rows)


class Thing:
    load = 'own'


@pytest.mark.parametrize('owner', [Thing, Thing()], ids=['class', 'object'])
def test_a_replacement_ends_with_its_block(owner):
    before = dict(vars(owner))
    with suppress(OSError), replaced('torch.load', owner, 'other'):
        assert owner.load == 'other'
        raise OSError
    assert owner.load == 'own'
    assert dict(vars(owner)) == before


def test_a_replacement_gives_what_was_there():
    thing = Thing()
    assert replace('torch.load', thing, 'other') == 'own'
    assert thing.load == 'other'


@pytest.mark.parametrize('put_in', [lambda: replace('x.y', Thing(), 1), lambda: install('x', print)])
def test_what_is_not_in_the_register_is_refused(put_in):
    with pytest.raises(KeyError, match='not in the register'):
        put_in()
