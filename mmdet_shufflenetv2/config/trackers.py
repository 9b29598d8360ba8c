"""``tracker``: log a training to other services with MMEngine's visualizer backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..utils.errors import UserError
from .options import TRACKERS

__all__ = ['BACKENDS', 'add_trackers', 'drop_trackers', 'require_trackers']


class Backend(NamedTuple):
    """A visualizer backend of MMEngine."""

    type: str
    #: The packages that it imports.
    packages: tuple[str, ...]


#: Name of a tracker -> its backend.
BACKENDS = dict(
    zip(
        TRACKERS,
        (
            Backend('TensorboardVisBackend', ('tensorboard',)),
            Backend('WandbVisBackend', ('wandb',)),
            Backend('MLflowVisBackend', ('mlflow',)),
            Backend('ClearMLVisBackend', ('clearml',)),
            Backend('NeptuneVisBackend', ('neptune',)),
            Backend('AimVisBackend', ('aim',)),
            Backend('DVCLiveVisBackend', ('pygit2', 'dvclive')),
        ),
        strict=True,
    )
)


def add_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Add the backends of trackers to the visualizer of a config, without duplicates. ``cfg`` is changed in place.

    Raises:
        UserError: If a package is not installed.
    """
    visualizer = cfg.get('visualizer') or dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    existing = list(visualizer.get('vis_backends') or [])
    wanted = [BACKENDS[name].type for name in dict.fromkeys(names)]
    new = [dict(type=kind) for kind in wanted if kind not in map(_kind, existing)]
    if new:
        require_trackers(Config(dict(visualizer=dict(vis_backends=new))))
        for backend in new:
            if backend['type'] == 'MLflowVisBackend':
                backend |= _as_mlflow_is_set_up(cfg)
        cfg.visualizer = dict(visualizer, vis_backends=[*existing, *new])


def _as_mlflow_is_set_up(cfg: Config) -> dict[str, str]:
    """MLflow's configured tracking server. MMEngine's default is a folder of files, which MLflow no longer supports."""
    import mlflow  # optional

    return dict(tracking_uri=mlflow.get_tracking_uri(), exp_name=Path(cfg.work_dir).name)


def drop_trackers(cfg: Config) -> None:
    """Remove the backends of trackers from the visualizer of a config, which is changed in place."""
    if backends := (cfg.get('visualizer') or {}).get('vis_backends'):
        others = {backend.type for backend in BACKENDS.values()}
        cfg.visualizer.vis_backends = [backend for backend in backends if _kind(backend) not in others]


def require_trackers(cfg: Config) -> None:
    """Raise a :class:`UserError` if the packages of a config's backends are not installed."""
    missing = {name: packages for name, packages in _needed(cfg) if any(find_spec(each) is None for each in packages)}
    if missing:
        packages = [each for packages in missing.values() for each in packages if find_spec(each) is None]
        raise UserError(
            f'Packages for logging to {" and ".join(missing)} are not installed: pip install '
            f'{" ".join(packages)}. Or remove it from `tracker` or from vis_backends in the config.'
        )


def _needed(cfg: Config) -> Iterator[tuple[str, tuple[str, ...]]]:
    kinds = [_kind(backend) for backend in (cfg.get('visualizer') or {}).get('vis_backends') or []]
    for name, backend in BACKENDS.items():
        if backend.type in kinds:
            yield name, backend.packages


def _kind(backend: dict[str, Any]) -> str:
    kind = backend['type']
    return kind.__name__ if isinstance(kind, type) else kind.rpartition('.')[2]
