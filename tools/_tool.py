"""What every command line here starts with: it must be able to say that the package itself cannot be imported."""

from __future__ import annotations

import argparse
import ast
import os
import sys
from collections.abc import Callable
from typing import Any


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser for a tool that reads configs: it can be told to take none that run.

    Args:
        description: The tool's docstring, shown as it is.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--no-python-config', action=_NoPythonConfig, nargs=0, help=(
        'take a config in JSON or YAML only, and nothing in it that could run code: for configs from strangers'))
    return parser


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    from mmengine.config import DictAction

    class Options(DictAction):
        """MMEngine's, which has asserts for a user's mistakes, and takes the spaces out of names in quotes."""

        @staticmethod
        def _parse_iterable(val: str) -> Any:
            try:
                quoted = ast.literal_eval(val)
            except (ValueError, SyntaxError):
                quoted = None
            # Without brackets it is a list for MMEngine.
            return quoted if isinstance(quoted, (list, tuple)) and val[0] in '[(' else DictAction._parse_iterable(val)

        def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: list[str],
                     option_string: str | None = None) -> None:
            for value in values:
                try:
                    super().__call__(parser, namespace, [value], option_string)
                except (ValueError, AssertionError) as error:
                    from mmdet_shufflenetv2 import UserError
                    what = 'brackets that do not fit together' if '=' in value else 'no ='
                    raise UserError(f'--cfg-options {value} has {what}. Expected KEY=VALUE, such as '
                                    f'train_cfg.max_epochs=24.') from error

    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE',
                        help='entries of the config to override, such as model.backbone.with_cp=True')


class _NoPythonConfig(argparse.Action):

    def __call__(self, *_: object) -> None:
        os.environ['MMDET_SNV2_NO_PYTHON_CONFIG'] = '1'  # for processes that the tool starts, too


def run(main: Callable[[], None]) -> None:
    """Run ``main``; a user's mistake ends in one or two lines and exit status 2."""
    try:
        from mmdet_shufflenetv2 import ShuffleNetV2  # noqa: F401 - a machine without PyTorch lacks it
        from mmdet_shufflenetv2.engine.tool import run_tool
    except ImportError as error:
        hint = "Run 'make install', or pip install -e '.[mmcv-lite]', in the folder of this project."
        print(f'error: {error}\n{hint if "mmcv" not in str(error) else ""}'.strip(), file=sys.stderr)
        sys.exit(2)
    run_tool(main)
