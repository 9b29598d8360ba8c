"""The scripts of this folder call ``snv2``: ``tools/train.py ARGUMENTS`` is ``snv2 train ARGUMENTS``."""

from __future__ import annotations

import sys


def run(command: str) -> None:
    """Run a command of ``snv2`` with this process's arguments."""
    try:
        from mmdet_shufflenetv2.cli import main
    except ImportError as error:
        print(
            f"error: {error}\nRun 'make install', or pip install -e '.[mmcv-lite]', in the folder of this project.",
            file=sys.stderr,
        )
        sys.exit(2)
    main([command, *sys.argv[1:]])
