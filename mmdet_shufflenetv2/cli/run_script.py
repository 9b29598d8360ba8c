"""Run any script with this package imported first: ``snv2 run SCRIPT ARGS...``.

MMDetection's tools import mmdet before they read the config whose ``custom_imports`` names this package. That is too
late without compiled operators. The tools also read MMEngine's checkpoints with ``torch.load``, which rejects the log
inside them since PyTorch 2.6. Here it loads them safely, see
:func:`..checkpoints.guard.mmengine_checkpoints_by_default`.
"""

from __future__ import annotations

import difflib
import runpy
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..checkpoints.guard import mmengine_checkpoints_by_default
from ..utils.errors import UserError

__all__ = ['find_script', 'run_script']


def run_script(name: str, arguments: Sequence[str]) -> None:
    """Run a script as ``python SCRIPT ARGS...`` would. ``name`` is as in :func:`find_script`."""
    script = find_script(name)
    sys.argv, sys.path[0] = [str(script), *arguments], str(script.parent.resolve())
    with mmengine_checkpoints_by_default():
        runpy.run_path(str(script), run_name='__main__')


def find_script(name: str) -> Path:
    """The file ``name``, or else the tool of the installed mmdet whose path ends with ``name``.

    The suffix ``.py`` is optional. If two tools have the same name, the one in the shallower folder is used.

    Raises:
        UserError: If neither exists.
    """
    if Path(name).is_file():
        return Path(name)
    mmdet = find_spec('mmdet')
    folder = Path((mmdet and mmdet.origin) or '').parent / '.mim' / 'tools'
    tools = {path.relative_to(folder).with_suffix('').as_posix(): path for path in folder.rglob('*.py')}
    wanted = name.removeprefix('tools/').removesuffix('.py')
    found = [tool for tool in tools if f'/{tool}'.endswith(f'/{wanted}')]
    if not found:
        near = difflib.get_close_matches(wanted.split('/')[-1], {tool.split('/')[-1] for tool in tools})
        hint = f'Did you mean {" or ".join(near)}?' if near else f'The tools of MMDetection are in {folder}.'
        raise UserError(f'Script not found: {name}. {hint}')
    return tools[min(found, key=lambda tool: tool.count('/'))]
