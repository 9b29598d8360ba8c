"""``python -m mmdet_shufflenetv2`` is the same as ``snv2``."""

from .cli import main

if __name__ == '__main__':
    main()
