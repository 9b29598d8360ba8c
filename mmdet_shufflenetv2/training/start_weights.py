"""Check the weights that a training starts from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import PretrainedInit
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from ..checkpoints.download import DownloadError
from ..checkpoints.unwrap import find_weights, strip_prefixes
from ..compat.private import weights_to_load
from ..models.backbones.norm_eval import folded_norms
from ..models.unwrap import unwrap_model
from ..utils.errors import UserError
from ..utils.options import in_words

__all__ = ['StartWeightsHook', 'download_advice']


class StartWeightsHook(Hook):
    """Checks the weights that a training starts from.

    * ``init_cfg`` is not downloaded or loaded for parts of the model whose weights are all in ``load_from``.
    * A warning names a backbone with random weights that is partly frozen or has its norms in eval mode.
    * Batch norms that were fused into convolutions stay in eval mode.
    """

    def __init__(self) -> None:
        self._folded: dict[str, nn.Module] = {}

    def before_run(self, runner: Runner) -> None:
        """Remove ``init_cfg`` entries that are not needed. MMEngine initializes the model right after this."""
        model, load_from = unwrap_model(runner.model), weights_to_load(runner)
        given = _shapes_in(load_from, model) if load_from else {}
        pretrained = _takes_pretrained(model)
        for name, module in model.named_modules():
            own = (
                {
                    f'{name}.{key}'.lstrip('.'): tensor.shape
                    for key, tensor in module.state_dict().items()
                    if not key.endswith('num_batches_tracked')
                }
                if hasattr(module, 'init_cfg')
                else {}
            )
            if own and _takes_pretrained(module):
                if all(given.get(key) == shape for key, shape in own.items()):
                    module.init_cfg = [cfg for cfg in _as_list(module.init_cfg) if not _is_pretrained(cfg)]
                    runner.logger.info(f'{name or "model"}: all weights are in {load_from}, so init_cfg is not loaded.')
            elif own and not pretrained and not own.keys() & given.keys() and (flags := _flags_against_random(module)):
                runner.logger.warning(
                    in_words(
                        f'The weights of the {name} are random, but {" and ".join(flags)} keeps a part untrained. '
                        f'To train all of it: `cfg_options` '
                        f'{" ".join(f"model.{name}.{flag}" for flag in flags.values())}'
                    )
                )

    def before_train(self, runner: Runner) -> None:
        """Find fused norms that would be in train mode."""
        model = unwrap_model(runner.model).train()
        self._folded = {name: norm for name, norm in folded_norms(model) if norm.training}
        if self._folded:
            parts = ', '.join(dict.fromkeys(name.split('.')[0] for name in self._folded))
            runner.logger.info(
                f'{len(self._folded)} batch norms ({parts}) are fused into their convolutions (mean 0, '
                f'variance 1), so they stay in eval mode.'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Loops set the model to train mode at the start and after each evaluation."""
        for norm in self._folded.values():
            norm.eval()


def _shapes_in(checkpoint: str, model: nn.Module) -> dict[str, torch.Size]:
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    shapes = {
        key: value.shape
        for key, value in (find_weights(loaded) if isinstance(loaded, dict) else {}).items()
        if isinstance(value, torch.Tensor)
    }
    names, _ = strip_prefixes(shapes, model.state_dict().keys())
    return {name: shapes[key] for name, key in names.items()}


def _as_list(init_cfg: Any) -> list[dict[str, Any]]:
    return [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or [])


def _is_pretrained(init_cfg: dict[str, Any]) -> bool:
    return init_cfg.get('type') in ('Pretrained', PretrainedInit)


def _takes_pretrained(module: nn.Module) -> bool:
    return any(map(_is_pretrained, _as_list(getattr(module, 'init_cfg', None))))


def _flags_against_random(backbone: Any) -> dict[str, str]:
    """Settings of a backbone that make no sense with random weights -> the option that disables them."""
    settings = {}
    if hasattr(backbone, 'frozen_stages'):
        if backbone.frozen_stages >= 0:
            settings[f'frozen_stages={backbone.frozen_stages}'] = 'frozen_stages=-1'
        if getattr(backbone, 'norm_eval', False):
            settings['norm_eval=True'] = 'norm_eval=False'
    return settings


@contextmanager
def download_advice(cfg: Config) -> Iterator[None]:
    """If a download for an ``init_cfg`` fails, add to the error how to train without these weights."""
    try:
        yield
    except DownloadError as error:
        flags = ' '.join(_without(cfg.model, 'model', str(error.filename)))
        if not flags:
            raise
        raise UserError(f'{error} Or train from random weights: `cfg_options` {flags}') from error


def _without(node: Any, path: str, filename: str) -> Iterator[str]:
    """The options that disable every ``init_cfg`` with this file in a part of the config, and related settings."""
    if isinstance(node, dict) and any(cfg.get('checkpoint') == filename for cfg in _as_list(node.get('init_cfg'))):
        yield f'{path}.init_cfg=None'
        if node.get('frozen_stages', -1) >= 0:
            yield f'{path}.frozen_stages=-1'
        if node.get('norm_eval'):
            yield f'{path}.norm_eval=False'
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, child in children:
        if key != 'init_cfg':
            yield from _without(child, f'{path}.{key}', filename)
