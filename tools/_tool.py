"""What every command line here starts with: it must be able to say that the package itself cannot be imported."""

from __future__ import annotations

import sys
from collections.abc import Callable


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
