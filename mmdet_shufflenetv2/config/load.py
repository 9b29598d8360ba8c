"""Load a config from a file, from an installed package, or from inside a checkpoint."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..checkpoints.named import WEIGHTS, is_named, named_weights, near_weights
from ..checkpoints.nanodet_layout import variant_of
from ..checkpoints.safe_loading import load
from ..checkpoints.unwrap import find_weights
from ..utils.errors import UserError
from .access import metrics_of, require_entries
from .cfg_options import merge_cfg_options
from .plain import load_plain_config, parse_config_text
from .project import project_config, project_configs

__all__ = ['CHECKPOINT_SUFFIXES', 'CONFIG_SUFFIXES', 'load_checkpoint_config', 'load_config']

CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.ckpt')


def load_config(
    path: str | os.PathLike[str],
    cfg_options: dict[str, Any] | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """Load a config.

    Args:
        path: A config file; ``configs/NAME.py`` is this project's where the current folder has none; or a config of an
            installed package, such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``; or a checkpoint with its
            config inside; or a name of published weights, which become ``load_from`` of their config.
        cfg_options: Entries to override, by dotted key.
        work_dir: Folder that the run writes to; by default that of the config, or else ``work_dirs/NAME_OF_CONFIG``.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        UserError: If the file is missing or not a config, or if an option does not match it.
    """
    path = Path(path)
    if path.suffix in CHECKPOINT_SUFFIXES or is_named(path):
        return load_checkpoint_config(path, cfg_options, work_dir, launcher)
    packaged = '::' in str(path)
    if path.parts[:1] == ('configs',) and not path.is_file():
        installed = project_configs().joinpath(*path.parts[1:])
        path = installed if installed.is_file() else path
    if not packaged and not path.is_file():
        near = ', '.join([*map(str, _near(path)), *near_weights(path)])
        hint = f'Did you mean {near}?' if near else f'The configs of this project are in {project_configs()}.'
        raise UserError(f'Config not found: {path}. {hint}')
    if path.suffix not in CONFIG_SUFFIXES:
        raise UserError(f'{path} is not a config file: expected the suffix {", ".join(CONFIG_SUFFIXES)}.')
    try:
        if 'MMDET_SNV2_NO_PYTHON_CONFIG' in os.environ:  # set by --no-python-config
            cfg = load_plain_config(path)
        elif packaged:  # MMEngine accepts a package's config only as a base, so an empty config is based on it
            cfg = Config.fromstring(f'_base_ = {str(path)!r}', '.py')
        else:
            cfg = Config.fromfile(path)
    except UserError:
        raise
    except (
        SyntaxError,
        NameError,
        KeyError,
        TypeError,
        ValueError,
        FileNotFoundError,
        ImportError,
        AssertionError,
    ) as error:  # AssertionError: a package without configs
        raise UserError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from error
    return _finished(cfg, path, cfg_options, work_dir, launcher)


def _finished(
    cfg: Config, path: Path, cfg_options: dict[str, Any] | None, work_dir: str | None, launcher: str
) -> Config:
    merge_cfg_options(cfg, cfg_options or {}, path)
    require_entries(cfg, 'model')
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or os.path.join('work_dirs', path.stem)
    return cfg


def load_checkpoint_config(
    checkpoint: str | os.PathLike[str],
    cfg_options: dict[str, Any] | None = None,
    work_dir: str | None = None,
    launcher: str = 'none',
) -> Config:
    """The config inside a checkpoint, or the matching config for NanoDet's own files and for published weights.

    A checkpoint may come from anybody, so its config is parsed without running code. Output folders and loggers of its
    run are removed.

    The arguments are those of :func:`load_config`, but ``work_dir`` is by default ``work_dirs/NAME``, where NAME is the
    folder of the checkpoint.

    Raises:
        UserError: If it is not a checkpoint, has no config, or has one with more than plain values.
    """
    checkpoint = Path(checkpoint)
    work_dir = work_dir or os.path.join(
        'work_dirs', checkpoint.parent.name or (checkpoint.name if is_named(checkpoint) else checkpoint.stem)
    )
    return _finished(_config_inside(checkpoint), checkpoint, cfg_options, work_dir, launcher)


def _config_inside(checkpoint: Path) -> Config:
    if is_named(checkpoint):
        cfg = Config.fromfile(project_config(WEIGHTS[str(checkpoint)].config))
        cfg.load_from = str(checkpoint)
        return cfg
    try:
        loaded = load(named_weights(checkpoint), 'cpu')
    except FileNotFoundError as error:
        raise UserError(f'Checkpoint not found: {checkpoint}.') from error
    meta = loaded.get('meta') if isinstance(loaded, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if isinstance(text, str) and text.strip():
        try:
            cfg = parse_config_text(text, checkpoint)
        except UserError as error:
            raise UserError(
                f'{error}\nIf you have its config, name it before the checkpoint: CONFIG {checkpoint}'
            ) from error
        for key in ('work_dir', 'resume', 'load_from', 'visualizer', 'vis_backends', 'launcher'):
            cfg.pop(key, None)
        cfg.visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
        for metric in (*metrics_of(cfg, 'val_evaluator'), *metrics_of(cfg, 'test_evaluator')):
            for key in ('outfile_prefix', 'format_only', 'out_file_path'):
                metric.pop(key, None)
        return cfg
    variant = variant_of(find_weights(loaded)) if isinstance(loaded, dict) else None
    if variant is None:
        raise UserError(
            f'{checkpoint} has no config inside. Name its config before the checkpoint: CONFIG {checkpoint}'
        )
    # The tensors do not tell the input size, so the file name decides. For a NanoDet without a config here, loading the
    # weights reports the mismatch.
    fitting = [known.config for known in WEIGHTS.values() if known.variant and known.variant[:2] == variant[:2]]
    large = '416' in checkpoint.name
    name = next((config for config in fitting if config.endswith('_416') == large), (*fitting, 'nanodet_m_snv2')[0])
    print_log(f'Config {name}: {checkpoint} holds {variant}, with {"" if large else "no "}416 in its name.', 'current')
    return Config.fromfile(project_config(name))


def _near(path: Path) -> list[Path]:
    """Configs with a similar name: first in the same folder, then in this project."""
    found: dict[str, Path] = {}
    for config in (*path.parent.glob('*.py'), *project_configs().rglob('*.py')):
        if '_base_' not in config.parts:
            found.setdefault(config.name.removesuffix('.py'), config)
    near = difflib.get_close_matches(path.name.removesuffix('.py'), found, n=3)
    return [
        Path(os.path.relpath(found[name])) if found[name].is_relative_to(Path.cwd()) else found[name] for name in near
    ]
