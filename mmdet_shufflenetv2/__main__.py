"""``python -m mmdet_shufflenetv2`` is ``snv2``."""

from .cli import main

if __name__ == '__main__':
    main()
