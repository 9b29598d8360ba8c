"""The device that a tool is told to compute on."""

from __future__ import annotations

import torch

from .errors import UserError

__all__ = ['usable_device']


def usable_device(name: str) -> torch.device:
    """The device of that name: ``cpu``, ``cuda``, ``cuda:1``, or what else PyTorch computes on.

    Raises:
        UserError: If there is no such device, or no such name.
    """
    try:
        torch.zeros(1, device=name).item()  # 'meta' has no numbers to give
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA asserts
        # PyTorch's own words name two dozen kinds of devices, none of which need be here.
        raise UserError(f'device={name} cannot be used here: expected cpu, or cuda, cuda:1, ... for a GPU, of which '
                        f'PyTorch finds {torch.cuda.device_count() or "none"}.') from error
    return torch.device(name)
