"""The region proposal network of Light-Head R-CNN."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.models.dense_heads import RPNHead
from mmdet.registry import MODELS
from torch import Tensor

__all__ = ['LightHeadRPN']


@MODELS.register_module()
class LightHeadRPN(RPNHead):
    """MMDetection's RPN behind :class:`LargeSeparableConv`: it reads the backbone's maps, not the thin one.

    Proposals come from the stage before the last (Li et al., arXiv 1711.07264, section 3.2). Arguments are those of
    ``RPNHead``.
    """

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Scores and deltas of all anchors.

        Args:
            x: The neck's outputs: the thin map, then the maps to propose from, ``(N, in_channels, H, W)`` each.

        Returns:
            For each map to propose from, ``(N, anchors, H, W)`` logits and ``(N, 4 * anchors, H, W)`` deltas.
        """
        return super().forward(x[1:])
