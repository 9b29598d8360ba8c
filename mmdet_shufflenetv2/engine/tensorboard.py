"""Logging a run for TensorBoard as well."""

from __future__ import annotations

from importlib.util import find_spec

from mmengine.config import Config

from ..errors import UserError

__all__ = ['log_for_tensorboard']


def log_for_tensorboard(cfg: Config) -> None:
    """Add MMEngine's TensorBoard backend to the visualizer of a config, if it has none.

    Its files lie in ``WORK_DIR/TIME/vis_data``, beside ``scalars.json``.

    Raises:
        UserError: If TensorBoard is not installed.
    """
    if find_spec('tensorboard') is None:
        raise UserError('--tensorboard needs TensorBoard: pip install tensorboard')
    visualizer = cfg.get('visualizer') or dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    backends = visualizer.get('vis_backends') or []
    if not any(backend['type'] == 'TensorboardVisBackend' for backend in backends):
        cfg.visualizer = dict(visualizer, vis_backends=[*backends, dict(type='TensorboardVisBackend')])
