"""What is said about weights that are another model's."""

from __future__ import annotations

import os

from ..utils.errors import UserError

__all__ = ['weights_mismatch']

# A model has hundreds of weights, and one or two tell which it is.
_SHOWN = 2
_LONGEST = 300


def weights_mismatch(checkpoint: str | os.PathLike, error: Exception) -> UserError:
    """The error for a checkpoint that does not fit the config's model.

    Args:
        checkpoint: Its file.
        error: What PyTorch or MMEngine raised: a headline, then a line of keys that are missing, one of keys that are
            too many, and a line for each of another shape.
    """
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [_few(line.split(', ')) if 'key' in line.partition(':')[0] else line for line in others[:_SHOWN]]
    return UserError(f'{checkpoint} holds the weights of another model than the config\'s:\n'
                     f'{"; ".join(said or [first])[:_LONGEST]}')


def _few(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ', '.join(keys[:_SHOWN]) + (f' and {more} more' if more > 0 else '')
