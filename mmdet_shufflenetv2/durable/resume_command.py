"""What to type to go on."""

from __future__ import annotations

import os
import shlex
import sys

__all__ = ['resume_command']


def resume_command() -> str:
    """The command line of this process, with ``--resume``."""
    words = [os.path.relpath(sys.argv[0]), *sys.argv[1:]]
    if '--resume' in words:
        at = words.index('--resume')
        named = at + 1 < len(words) and words[at + 1].endswith('.pth')
        del words[at:at + 1 + named]
    # torchrun gives its processes a number each; Slurm's srun has its own command line, which is not known here.
    python = f'torchrun --nproc-per-node {os.environ["LOCAL_WORLD_SIZE"]}' if 'TORCHELASTIC_RUN_ID' in os.environ else (
        'python')
    return f'{python} {shlex.join(words)} --resume'
