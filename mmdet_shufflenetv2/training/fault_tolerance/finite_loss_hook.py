"""End a run at a NaN or infinite loss, before it is saved."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...checkpoints.latest import latest_valid_checkpoint
from ...utils.errors import UserError
from .resume_command import resume_command

__all__ = ['FiniteLossHook']


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Ends the run at the first NaN or infinite loss.

    Raises:
        UserError: With the losses, the images of the batch, and the last valid checkpoint.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        losses = {name: torch.as_tensor(value).detach() for name, value in (outputs or {}).items() if 'loss' in name}
        if all(bool(torch.isfinite(value).all()) for value in losses.values()):
            return
        shown = ', '.join(f'{name} {float(value):.4g}' for name, value in losses.items())
        latest = latest_valid_checkpoint(runner.work_dir)
        remedy = (
            f'Last good checkpoint: {latest}. Continue with: {resume_command()}'
            if latest
            else 'No checkpoint was saved before.'
        )
        raise UserError(
            f'The loss is NaN or infinite at step {runner.iter + 1} ({shown}), on the images '
            f'{", ".join(_images(data_batch))}.\nCheck their annotations (snv2 check-data), or lower the '
            f'learning rate. {remedy}'
        )


def _images(batch: Any) -> Iterable[str]:
    samples = batch.get('data_samples', []) if isinstance(batch, dict) else []
    for sample in samples:
        known = getattr(sample, 'metainfo', {})
        words = [str(known[key]) for key in ('img_id', 'img_path') if key in known]
        yield f'{words[0]} ({words[1]})' if len(words) == 2 else words[0] if words else 'unknown'
