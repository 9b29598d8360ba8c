"""Private names of other packages are only used in :mod:`.compat.private`, and the README has a table of them."""

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import mmdet_shufflenetv2
from mmdet_shufflenetv2.compat import private

PACKAGE = Path(mmdet_shufflenetv2.__file__).parent
README = (PACKAGE / 'compat' / 'README.md').read_text()
TREES = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob('*.py'))}
# Public methods of named tuples, and the module that compat provides.
PUBLIC = {'_asdict', '_replace', '_fields', '_ext'}

# Names that checkpoints/ needs to read files: names in PyTorch's format, and Python's own unpickler.
FORMAT = {'_C', '_Unpickler', '_metadata', '_rebuild_parameter', '_untyped_storage', '_utils'}


def is_private(name: str) -> bool:
    return name.startswith('_') and not name.startswith('__') and name not in PUBLIC


def names_of(tree: ast.AST) -> set[str]:
    """Names of the functions, classes, variables and own attributes that a module defines."""
    nodes = list(ast.walk(tree))
    stored = [node for node in nodes if isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Store)]
    return (
        {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        | {node.id for node in stored if isinstance(node, ast.Name)}
        | {node.attr for node in stored if isinstance(node, ast.Attribute) and ast.unparse(node.value) == 'self'}
    )


OWN = set().union(*map(names_of, TREES.values()))


def private_names(tree: ast.AST) -> Iterator[str]:
    """The private names of other packages that a module uses."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in OWN:
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (
                name for name in [*node.module.split('.'), *(alias.name for alias in node.names)] if is_private(name)
            )
        elif isinstance(node, ast.Import):
            yield from (name for alias in node.names for name in alias.name.split('.') if is_private(name))
        elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') in ('getattr', 'hasattr', 'setattr'):
            yield from (
                each.value
                for each in node.args[1:2]
                if isinstance(each, ast.Constant) and is_private(str(each.value)) and each.value not in OWN
            )


def test_only_one_module_uses_private_names_of_other_packages():
    assert not [
        f'{path.relative_to(PACKAGE)}: {name}'
        for path, tree in TREES.items()
        if path != PACKAGE / 'compat' / 'private.py'
        for name in private_names(tree)
        if not (path.parent.name == 'checkpoints' and name in FORMAT)
    ]


def test_the_readme_lists_the_private_names():
    table = README.partition('## Private names')[2].partition('\n## ')[0]
    listed = {line.split('`')[1] for line in table.splitlines() if line.startswith('| `')}
    assert listed == set(private.__all__)
    used = private_names(TREES[PACKAGE / 'compat' / 'private.py'])
    assert not [name for name in used if name not in table]


# Modules of Python and this package.
OURS = ('mmdet_shufflenetv2', 'typing', 'enum')


def overridden() -> Iterator[str]:
    """Yield ``Base.method`` for each private method of other packages that a class of this package overrides."""
    for module in pkgutil.walk_packages(mmdet_shufflenetv2.__path__, 'mmdet_shufflenetv2.'):
        if module.name.endswith('__main__'):
            continue
        if module.name.endswith(('.tflite', '.tflite_precision')) and not find_spec('ai_edge_litert'):
            continue  # override nothing; make test-deploy imports them
        for kind in vars(import_module(module.name)).values():
            if inspect.isclass(kind) and kind.__module__ == module.name:
                for name in filter(is_private, vars(kind)):
                    yield from (
                        f'{base.__name__}.{name}'
                        for base in kind.__mro__[1:]
                        if inspect.isroutine(vars(base).get(name)) and not base.__module__.startswith(OURS)
                    )


def test_the_readme_lists_the_overridden_private_methods():
    table = README.partition('## Overridden private methods')[2].partition('\n## ')[0]
    listed = {line.split('`')[1] for line in table.splitlines() if line.startswith('| `')}
    found = set(overridden())
    # Intermediate base classes may also override a method; the table has the class that defines it.
    assert {each.split('.')[1] for each in found} == {each.split('.')[1] for each in listed}
    assert listed <= found
