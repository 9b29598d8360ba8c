"""What to type to go on."""

from __future__ import annotations

import os
import shlex
import sys

__all__ = ['resume_command']


def resume_command() -> str:
    """The command line of this process, with ``--resume``."""
    words = [os.path.relpath(sys.argv[0]), *(word for word in sys.argv[1:] if not word.startswith('--resume='))]
    if '--resume' in words:
        at = words.index('--resume')
        named = at + 1 < len(words) and not words[at + 1].startswith('-')
        del words[at:at + 1 + named]
    return f'{_python()} {shlex.join(words)} --resume'


def _python() -> str:
    # Slurm's srun has its own command line, which is not known here.
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        return 'python'
    nodes = int(os.environ.get('GROUP_WORLD_SIZE', 1))
    meeting = f'--nnodes {nodes} --rdzv-backend c10d --rdzv-endpoint HOST:29500 ' if nodes > 1 else ''
    return f'torchrun {meeting}--nproc-per-node {os.environ["LOCAL_WORLD_SIZE"]}'
