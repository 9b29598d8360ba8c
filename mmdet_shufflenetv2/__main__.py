"""``python -m mmdet_shufflenetv2 run SCRIPT ARGS...`` runs a script with this package imported first.

MMDetection's own tools import mmdet before they read the config whose ``custom_imports`` names this package, which is
too late without compiled operators. They also read MMEngine's checkpoints with ``torch.load``, which refuses the log in
them since PyTorch 2.6; here it reads them safely (:func:`.compat.checkpoints.mmengine_checkpoints_by_default`).
"""

from __future__ import annotations

import argparse
import difflib
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

from .compat.checkpoints import mmengine_checkpoints_by_default
from .engine.tool import run_tool
from .errors import UserError

__all__ = ['find_script', 'main']


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog='python -m mmdet_shufflenetv2')
    commands = parser.add_subparsers(metavar='COMMAND', required=True)
    run = commands.add_parser(
        'run', help='run a script that uses mmdet, such as MMDetection\'s test.py',
        description='Run a script that uses mmdet. It finds ShuffleNet V2 and the operators of mmcv as if it imported '
                    'this package first.')
    run.add_argument('script', help="a file, or a tool of MMDetection by name: test.py, browse_dataset, ...")
    run.add_argument('args', nargs=argparse.REMAINDER, help="the script's own arguments")
    given = parser.parse_args()
    script = find_script(given.script)
    # As Python itself does for a script.
    sys.argv, sys.path[0] = [str(script), *given.args], str(script.parent.resolve())
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


if __name__ == '__main__':
    run_tool(main)
