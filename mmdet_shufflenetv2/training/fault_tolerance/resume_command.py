"""The command that resumes this run."""

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
        index = words.index('--resume')
        named = index + 1 < len(words) and not words[index + 1].startswith('-')
        del words[index : index + 1 + named]
    return f'{_program()} {shlex.join(words)} --resume'


def _program() -> str:
    program = Path(sys.argv[0])
    python = _python()
    if program.name == 'snv2' and python == 'python':
        return 'snv2'
    # torchrun does not find the script snv2, and __main__.py can only run as a module.
    is_module = program.name in ('snv2', '__main__.py')
    return f'{python} {"-m mmdet_shufflenetv2" if is_module else shlex.quote(os.path.relpath(program))}'


def _python() -> str:
    # The command line of Slurm's srun is not known here.
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        return 'python'
    nodes = int(os.environ.get('GROUP_WORLD_SIZE', 1))
    rendezvous = f'--nnodes {nodes} --rdzv-backend c10d --rdzv-endpoint HOST:29500 ' if nodes > 1 else ''
    return f'torchrun {rendezvous}--nproc-per-node {os.environ["LOCAL_WORLD_SIZE"]}'
