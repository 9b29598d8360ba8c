"""The error for weights of another model."""

from __future__ import annotations

import os

from ..utils.errors import UserError

__all__ = ['weights_mismatch']

# Keys to show: a model has hundreds, and one or two are enough to recognize it.
_SHOWN = 2
_LONGEST = 300


def weights_mismatch(checkpoint: str | os.PathLike[str], error: Exception) -> UserError:
    """The error for a checkpoint that does not match the config's model.

    Args:
        checkpoint: Its file.
        error: Error of PyTorch or MMEngine: a headline, then one line with missing keys, one with unexpected keys, and
            one for each size mismatch.
    """
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [_few(line.split(', ')) if 'key' in line.partition(':')[0] else line for line in others[:_SHOWN]]
    return UserError(
        f"The weights in {checkpoint} do not match the config's model:\n{'; '.join(said or [first])[:_LONGEST]}"
    )


def _few(keys: list[str]) -> str:
    more = len(keys) - _SHOWN
    return ', '.join(keys[:_SHOWN]) + (f' and {more} more' if more > 0 else '')
