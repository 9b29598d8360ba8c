"""Save checkpoints atomically, so that a valid one always exists."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ...checkpoints.latest import LAST_CHECKPOINT, latest_valid_checkpoint
from ...compat.patches import install, replaced
from ...models.unwrap import unwrap_model
from ...utils.errors import UserError
from ...utils.files import remove_leftovers, unfinished_file, write_atomically
from .resume_command import resume_command

__all__ = ['BEST_CHECKPOINT', 'AtomicBackend', 'FaultTolerantCheckpointHook', 'is_disk_full']

#: The best checkpoint under a name that does not change.
BEST_CHECKPOINT = 'best.pth'
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class AtomicBackend(LocalBackend):
    """MMEngine's local files, each written completely or not at all."""

    def put(self, obj: bytes, filepath: str | os.PathLike[str]) -> None:
        """Write bytes to a file; see :func:`write_atomically`."""
        mmengine.mkdir_or_exist(os.path.dirname(filepath))
        write_atomically(filepath, obj)


install('mmengine.fileio:atomic backend', register_backend, 'atomic', AtomicBackend, force=True)


@HOOKS.register_module(name=['FaultTolerantCheckpointHook', 'DurableCheckpointHook'])  # the second name: configs of 0.1
class FaultTolerantCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, with these differences.

    - Files are written under a temporary name, synced and renamed.
    - An old checkpoint is removed only after its replacement is complete.
    - If one metric selects the best checkpoint, it is also saved as ``best.pth``.
    - ``last_checkpoint`` is written after the file that it names, and before old files are removed.
    - Weights that are not finite are not saved.
    - ``interval_minutes`` also saves during an epoch. Only the latest of these, ``midway_ITERATION.pth``, is kept.

    Args:
        interval_minutes: Interval for saving during an epoch, in minutes; None for never.
        args, kwargs: As for ``CheckpointHook``.

    Raises:
        UserError: If a file cannot be written, for example on a full disk, or the weights are not finite. The message
            names the latest valid checkpoint.
    """

    def __init__(self, *args: Any, interval_minutes: float | None = None, **kwargs: Any) -> None:
        if kwargs.get('out_dir') is None and kwargs.get('file_client_args') is None:
            kwargs['backend_args'] = kwargs.get('backend_args') or dict(backend='atomic')
        super().__init__(*args, **kwargs)
        self.last_ckpt: str | None
        self.interval_minutes = interval_minutes
        self._saved_at = time.monotonic()
        self._saved_iter: int | None = None

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        if is_main_process() and os.path.isdir(self.out_dir):
            remove_leftovers(self.out_dir)
        self._saved_at = time.monotonic()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if self.interval_minutes is not None and time.monotonic() - self._saved_at >= self.interval_minutes * 60:
            self.save_midway(runner)

    def save_midway(self, runner: Runner) -> None:
        """Save the state after the current step, unless it is saved already."""
        done = runner.iter + 1
        if self._saved_iter != done:
            runner.logger.info(f'Saving checkpoint at {done} iterations, in the middle of an epoch')
            self._save(runner, f'midway_{done}.pth', dict(epoch=runner.epoch, iter=done))

    def is_saved(self, runner: Runner) -> bool:
        """Whether the latest checkpoint contains all steps so far. Called between epochs."""
        return self._saved_iter == runner.iter

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.file_backend.join_path(
                    self.out_dir, self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                )
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        self._save(runner, self.filename_tmpl.format(step), meta)
        if outdated and is_main_process() and self.file_backend.isfile(outdated):
            self.file_backend.remove(outdated)

    def _save(self, runner: Runner, name: str, meta: dict[str, Any]) -> None:
        path = self.file_backend.join_path(self.out_dir, name)
        self._require_finite_weights(runner)
        before = self.last_ckpt
        self.last_ckpt = path
        runner.message_hub.update_info('last_ckpt', path)
        try:
            # All processes run the hooks; only the main process writes.
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                write_atomically(Path(runner.work_dir) / LAST_CHECKPOINT, path)
        except OSError as error:
            self.last_ckpt = before
            why, remedy = (
                (f'{self.out_dir} is full', 'Free some space') if is_disk_full(error) else (str(error), 'Fix this')
            )
            raise UserError(
                f'{name} could not be saved: {why}. {self._latest_valid(runner)} {remedy}, and continue '
                f'with: {resume_command()}'
            ) from error
        self._saved_iter, self._saved_at = meta['iter'], time.monotonic()
        if is_main_process() and self.backend_args == dict(backend='atomic'):
            for old in Path(self.out_dir).glob('midway_*.pth'):
                if old.name != name:
                    old.unlink()

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        # MMEngine removes the previous best checkpoint before it saves the new one.
        backend = self.file_backend
        removed: list[str] = []

        class RemovesLater:
            def __getattr__(self, name: str) -> Any:
                return removed.append if name == 'remove' else getattr(backend, name)

        with replaced('CheckpointHook.file_backend', self, RemovesLater()):
            super()._save_best_checkpoint(runner, metrics)
        kept = (
            {self.best_ckpt_path}
            if hasattr(self, 'best_ckpt_path')
            else set(getattr(self, 'best_ckpt_path_dict', {}).values())
        )
        for path in removed:
            if path not in kept:
                backend.remove(path)
        one_is_best = self.save_best and len(self.key_indicators) == 1
        if one_is_best and is_main_process() and self.backend_args == dict(backend='atomic'):
            _link(self.best_ckpt_path, Path(self.out_dir) / BEST_CHECKPOINT)

    def _require_finite_weights(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        for name, parameter in model.named_parameters():
            if not torch.isfinite(parameter).all():
                raise UserError(
                    f'The weights are NaN or infinite ({name}), so they are not saved. {self._latest_valid(runner)} '
                    f'Lower the learning rate, and continue with: {resume_command()}'
                )

    def _latest_valid(self, runner: Runner) -> str:
        found = latest_valid_checkpoint(runner.work_dir, self.out_dir)
        return f'Last valid checkpoint: {found}.' if found else 'No checkpoint was saved before.'


def _link(source: str | None, name: Path) -> None:
    """Create or replace a hard link to a file, or a copy if the file system does not support links."""
    if source is None or not os.path.isfile(source) or (name.exists() and name.samefile(source)):
        return
    with unfinished_file(name, suffix='') as unfinished:
        try:
            os.link(source, unfinished)
        except OSError:
            shutil.copyfile(source, unfinished)


def is_disk_full(error: OSError) -> bool:
    """Whether a write failed because the disk is full, or a quota or file size limit is exceeded."""
    return error.errno in _FULL
