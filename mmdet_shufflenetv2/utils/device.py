"""Checking the device to compute on."""

from __future__ import annotations

import torch

from .errors import UserError

__all__ = ['usable_device']


def usable_device(name: str) -> torch.device:
    """The PyTorch device with that name, such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        UserError: If the name is unknown or the device is not available.
    """
    try:
        torch.zeros(1, device=name).item()  # fails on 'meta', which holds no data
    except (RuntimeError, AssertionError) as error:  # PyTorch without CUDA raises AssertionError
        # PyTorch's own message lists two dozen device types, whether available or not.
        raise UserError(
            f'device={name} cannot be used: expected cpu, or cuda, cuda:1, ... for a GPU. GPUs found by '
            f'PyTorch: {torch.cuda.device_count()}.'
        ) from error
    return torch.device(name)
