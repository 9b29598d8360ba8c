"""Running a script of others with this package imported first, as ``snv2 run SCRIPT ARGS...`` does.

MMDetection's own tools import mmdet before they read the config whose ``custom_imports`` names this package, which is
too late without compiled operators. They also read MMEngine's checkpoints with ``torch.load``, which refuses the log in
them since PyTorch 2.6; here it reads them safely (:func:`..checkpoints.guard.mmengine_checkpoints_by_default`).
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
    """Run a script, named as :func:`find_script` takes it, as Python itself does."""
    script = find_script(name)
    sys.argv, sys.path[0] = [str(script), *arguments], str(script.parent.resolve())
    with mmengine_checkpoints_by_default():
        runpy.run_path(str(script), run_name='__main__')


def find_script(name: str) -> Path:
    """The file ``name``, or the tool of the installed mmdet whose path ends so; ``.py`` may be left out.

    Of two tools of one name, the one that lies less deep is taken.

    Raises:
        UserError: If there is none.
    """
    if Path(name).is_file():
        return Path(name)
    folder = Path(find_spec('mmdet').origin).parent / '.mim' / 'tools'
    tools = {path.relative_to(folder).with_suffix('').as_posix(): path for path in folder.rglob('*.py')}
    wanted = name.removeprefix('tools/').removesuffix('.py')
    found = [tool for tool in tools if f'/{tool}'.endswith(f'/{wanted}')]
    if not found:
        near = difflib.get_close_matches(wanted.split('/')[-1], {tool.split('/')[-1] for tool in tools})
        hint = f'Did you mean {" or ".join(near)}?' if near else f'The tools of MMDetection are in {folder}.'
        raise UserError(f'Script not found: {name}. {hint}')
    return tools[min(found, key=lambda tool: tool.count('/'))]
