"""The two halves of mmcv's MaskedConv2d: a convolution at chosen places only."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ['masked_col2im_forward', 'masked_im2col_forward']


def masked_im2col_forward(im: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, col: Tensor, kernel_h: int, kernel_w: int,
                          pad_h: int, pad_w: int) -> None:
    """Gather the neighbourhoods of chosen places as columns.

    Args:
        im: ``(1, C, H, W)``.
        mask_h_idx, mask_w_idx: ``(P,)`` rows and columns of the places in the output.
        col: ``(C * kernel_h * kernel_w, P)``, filled.
        kernel_h, kernel_w, pad_h, pad_w: Geometry of the convolution; stride 1.
    """
    padded = F.pad(im[0], (pad_w, pad_w, pad_h, pad_h))
    rows = mask_h_idx.long()[None, :] + torch.arange(kernel_h, device=im.device)[:, None]
    columns = mask_w_idx.long()[None, :] + torch.arange(kernel_w, device=im.device)[:, None]
    # (C, kernel_h, kernel_w, P)
    col.copy_(padded[:, rows[:, None], columns[None]].reshape(col.shape))


def masked_col2im_forward(col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, height: int, width: int,
                          channels: int) -> None:
    """Put columns ``(channels, P)`` at their places in ``im`` ``(1, channels, height, width)``."""
    im[0, :, mask_h_idx.long(), mask_w_idx.long()] = col.to(im.dtype)
