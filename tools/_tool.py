"""What every command line here starts with: it must be able to say that the package itself cannot be imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable


def config_parser(description: str) -> argparse.ArgumentParser:
    """A parser for a tool that reads configs: it can be told to take none that run.

    Args:
        description: The tool's docstring, shown as it is.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--no-python-config', action=_NoPythonConfig, nargs=0, help=(
        'take a config in JSON or YAML only, and nothing in it that could run code: for configs from strangers'))
    return parser


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
