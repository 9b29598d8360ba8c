"""What to type to go on."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

__all__ = ['resume_command']


def resume_command() -> str:
    """The command line of this process, with ``--resume``."""
    words = [word for word in sys.argv[1:] if not word.startswith('--resume=')]
    if '--resume' in words:
        at = words.index('--resume')
        named = at + 1 < len(words) and not words[at + 1].startswith('-')
        del words[at:at + 1 + named]
    return f'{_program()} {shlex.join(words)} --resume'


def _program() -> str:
    program = Path(sys.argv[0])
    python = _python()
    if program.name == 'snv2' and python == 'python':
        return 'snv2'
    # The script snv2 is not where torchrun looks, and __main__.py runs as a module only.
    is_module = program.name in ('snv2', '__main__.py')
    return f'{python} {"-m mmdet_shufflenetv2" if is_module else shlex.quote(os.path.relpath(program))}'


def _python() -> str:
    # Slurm's srun has its own command line, which is not known here.
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        return 'python'
    nodes = int(os.environ.get('GROUP_WORLD_SIZE', 1))
    meeting = f'--nnodes {nodes} --rdzv-backend c10d --rdzv-endpoint HOST:29500 ' if nodes > 1 else ''
    return f'torchrun {meeting}--nproc-per-node {os.environ["LOCAL_WORLD_SIZE"]}'
