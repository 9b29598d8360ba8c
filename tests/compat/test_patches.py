"""All patches of other packages are in the register and in the table of the README."""

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
# Calls that change global state.
INSTALLS = {
    'signal.signal',
    'atexit.register',
    'warnings.filterwarnings',
    'copyreg.pickle',
    'sys.meta_path.append',
    'sys.meta_path.insert',
    'register_backend',
    'register_handler',
    'CheckpointLoader.register_scheme',
    'setStream',
}


def imported(tree: ast.AST) -> set[str]:
    """The names of imports from other packages in a module."""
    return {
        (alias.asname or alias.name).split('.')[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, 'level', 0)
        for alias in node.names
        if (getattr(node, 'module', None) or alias.name).split('.')[0] in OTHERS
    }


def root(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return getattr(node, 'id', '')


def assigned(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del))
    )


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    return ((ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def replaced_without_register(tree: ast.AST) -> Iterator[str]:
    theirs, attributes = imported(tree), {name.rpartition('.')[2] for name in PATCHES}
    for node in assigned(tree):
        # Modules and classes of other packages, and methods that are patched on single objects.
        if root(node) in theirs or (node.attr in attributes and root(node) != 'self'):
            yield f'{node.lineno}: {ast.unparse(node)}'
    # Functions that are passed to ``install`` are registered.
    registered = {
        id(node) for name, call in calls(tree) if name.removeprefix('patches.') == 'install' for node in call.args
    }
    for name, call in calls(tree):
        forced = name.endswith('register_module') and any(word.arg == 'force' for word in call.keywords)
        patched = name in ('setattr', 'delattr') and root(call.args[0]) in theirs
        called = name in INSTALLS or name.endswith('.setStream') or name.startswith('mock.patch')
        if (forced or patched or called) and id(call) not in registered:
            yield f'{call.lineno}: {ast.unparse(call)}'


def test_other_packages_are_only_patched_through_the_register():
    assert not [
        f'{path}:{found}'
        for path, tree in TREES.items()
        if path != REGISTER
        for found in replaced_without_register(tree)
    ]


@pytest.mark.parametrize(
    'code',
    [
        'import torch\ntorch.load = print',
        'from mmdet.models import SSDHead\nSSDHead.loss_cls = None',
        'head.get_targets = print',
        'import signal\nsignal.signal(2, print)',
        'import torch\nsetattr(torch, "load", 1)',
        '@METRICS.register_module(force=True)\nclass A: ...',
    ],
)
def test_a_patch_without_the_register_is_found(code):
    assert list(replaced_without_register(ast.parse(code)))


def test_the_patches_in_use_are_those_in_the_register():
    used = {
        call.args[0].value
        for path, tree in TREES.items()
        if path != REGISTER
        for name, call in calls(tree)
        if name.removeprefix('patches.') in ('install', 'replace', 'replaced')
        and isinstance(call.args[0], ast.Constant)
    }
    assert used == PATCHES.keys()


def test_the_readme_lists_the_patches_of_the_register():
    table = (PACKAGE / 'compat' / 'README.md').read_text().partition('## Patches')[2].partition('\n## ')[0]
    rows = [
        tuple(cell.strip() for cell in line.strip('|').split(' | '))
        for line in table.splitlines()
        if line.startswith('| `')
    ]
    assert [row[:2] for row in rows] == [(f'`{name}`', why) for name, why in PATCHES.items()]
    # The other columns: when it is applied, and when it becomes unnecessary.
    assert all(len(row) == 4 and all(row) for row in rows)


class Owner:
    load = 'original'


@pytest.mark.parametrize('owner', [Owner, Owner()], ids=['class', 'object'])
def test_replaced_restores_the_attribute(owner):
    before = dict(vars(owner))
    with suppress(OSError), replaced('torch.load', owner, 'other'):
        assert owner.load == 'other'
        raise OSError
    assert owner.load == 'original'
    assert dict(vars(owner)) == before


def test_replace_returns_the_original_value():
    owner = Owner()
    assert replace('torch.load', owner, 'other') == 'original'
    assert owner.load == 'other'


@pytest.mark.parametrize('apply', [lambda: replace('x.y', Owner(), 1), lambda: install('x.y', print)])
def test_a_patch_that_is_not_in_the_register_is_rejected(apply):
    with pytest.raises(KeyError, match=r'x\.y.*PATCHES'):
        apply()
