"""Operators that rearrange weights, masks and cells."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    'active_rotated_filter_backward',
    'active_rotated_filter_forward',
    'masked_col2im_forward',
    'masked_im2col_forward',
    'psamask_backward',
    'psamask_forward',
]


def active_rotated_filter_forward(input: Tensor, indices: Tensor, output: Tensor) -> None:
    """Rotate the weights of a convolution (Zhou et al., Oriented Response Networks, CVPR 2017).

    Args:
        input: ``(O, I, orientations, kH, kW)`` weights.
        indices: ``(orientations, kH, kW, rotations)``: target index of each entry, from 1.
        output: ``(O * rotations, I * orientations, kH, kW)``, filled.
    """
    entries = input.flatten(2)
    rotated = output.view(len(input), indices.size(3), *entries.shape[1:])
    for rotation, targets in enumerate(_target_indices(indices)):
        rotated[:, rotation, :, targets] = entries


def active_rotated_filter_backward(grad_out: Tensor, indices: Tensor, grad_in: Tensor) -> None:
    """Write the gradient of :func:`active_rotated_filter_forward` into ``grad_in``."""
    grads = grad_out.reshape(len(grad_in), indices.size(3), grad_in.size(1), -1)
    parts = (grads[:, rotation, :, targets] for rotation, targets in enumerate(_target_indices(indices)))
    grad_in.copy_(sum(parts, start=grads.new_zeros(())).view_as(grad_in))


def _target_indices(indices: Tensor) -> Tensor:
    """``(rotations, entries)`` indices from 0."""
    return indices.flatten(0, 2).T.long() - 1


def psamask_forward(input: Tensor, output: Tensor, psa_type: int, **sizes: int) -> None:
    """Convert attention masks around each position to masks of the full map (Zhao et al., PSANet, ECCV 2018).

    Args:
        input: ``(N, h_mask * w_mask, h_feature, w_feature)``: the mask around each position.
        output: ``(N, h_feature * w_feature, h_feature, w_feature)``; filled where a mask overlaps the map.
        psa_type: 0 collect: the cells of the masks are the first axis, the positions the last two. 1 distribute: the
            reverse.
        sizes: ``num_`` (N), ``h_feature``, ``w_feature``, ``h_mask``, ``w_mask``, and the row and column of the
            position in its mask, ``half_h_mask`` and ``half_w_mask``.
    """
    position, entry, target = _masks_on_map(input.device, psa_type, **sizes)
    output.view(*output.shape[:2], -1)[:, target[0], target[1]] = input.flatten(2)[:, entry, position]


def psamask_backward(grad_output: Tensor, grad_input: Tensor, psa_type: int, **sizes: int) -> None:
    """Write the gradient of :func:`psamask_forward` into ``grad_input``."""
    position, entry, target = _masks_on_map(grad_input.device, psa_type, **sizes)
    grad_input.view(*grad_input.shape[:2], -1)[:, entry, position] = grad_output.flatten(2)[:, target[0], target[1]]


def _masks_on_map(
    device: torch.device,
    psa_type: int,
    *,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Position, mask entry and index in the output, for every entry that overlaps the map."""
    y, x, row, column = torch.meshgrid(
        *(torch.arange(n, device=device) for n in (h_feature, w_feature, h_mask, w_mask)), indexing='ij'
    )
    cell_y, cell_x = y + row - half_h_mask, x + column - half_w_mask
    on_map = (cell_y >= 0) & (cell_y < h_feature) & (cell_x >= 0) & (cell_x < w_feature)
    position, cell, entry = (
        index[on_map] for index in (y * w_feature + x, cell_y * w_feature + cell_x, row * w_mask + column)
    )
    return position, entry, (cell, position) if psa_type == 0 else (position, cell)


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """The first half of mmcv's MaskedConv2d: gather the neighborhoods of selected positions as columns.

    Args:
        im: ``(1, C, H, W)``.
        mask_h_idx, mask_w_idx: ``(P,)`` rows and columns of the positions in the output.
        col: ``(C * kernel_h * kernel_w, P)``, filled.
        kernel_h, kernel_w, pad_h, pad_w: Geometry of the convolution; stride 1.
    """
    padded = F.pad(im[0], (pad_w, pad_w, pad_h, pad_h))
    rows = mask_h_idx.long()[None, :] + torch.arange(kernel_h, device=im.device)[:, None]
    columns = mask_w_idx.long()[None, :] + torch.arange(kernel_w, device=im.device)[:, None]
    # (C, kernel_h, kernel_w, P)
    col.copy_(padded[:, rows[:, None], columns[None]].reshape(col.shape))


def masked_col2im_forward(col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, **sizes: int) -> None:
    """Write columns ``(channels, P)`` to their positions in ``im`` ``(1, channels, height, width)``."""
    im[0, :, mask_h_idx.long(), mask_w_idx.long()] = col.to(im.dtype)
