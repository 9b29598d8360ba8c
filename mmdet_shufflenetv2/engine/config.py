"""Reading a config and laying a tool's flags over it."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet.models.detectors import BaseDetector
from mmdet.registry import (
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
)
from mmengine.config import Config
from mmengine.runner import Runner

from ..compat.checkpoints import load
from ..datasets import prepare_dataset
from ..datasets.checks import refuse_other_classes
from ..durable.checkpoint_hook import LAST_CHECKPOINT
from ..durable.newest import newest_whole
from ..durable.storage import write_atomically
from ..errors import UserError
from ..nanodet.checkpoint_layout import is_nanodet
from .folders import project_configs
from .plain_config import load_plain_config, parse_config_text

__all__ = ['CHECKPOINT_SUFFIXES', 'CONFIG_SUFFIXES', 'cap_workers', 'check_load_from', 'datasets_of', 'is_detector',
           'load_checkpoint_config', 'load_config', 'metrics_of', 'prepare_data', 'project_config', 'require_detector',
           'require_entries', 'set_data_root', 'set_resume', 'show_class_wise']

# Where the classes are that a config names.
_REGISTRIES = (MODELS, DATASETS, HOOKS, LOOPS, METRICS, OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, TRANSFORMS)
CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.ckpt')

#: The config of a NanoDet checkpoint for which none is named. The files for 320 and 416 pixels hold the same tensors.
NANODET_CONFIG = 'nanodet_m_snv2'


def load_config(path: str | os.PathLike, cfg_options: dict[str, Any] | None = None, work_dir: str | None = None,
                launcher: str = 'none') -> Config:
    """Read a config file.

    Args:
        path: Config file, or one of an installed package, such as
            ``mmdet::retinanet/retinanet_r50_fpn_1x_coco.py``, or a checkpoint with its config inside.
        cfg_options: Entries to override, as ``--cfg-options`` gives them.
        work_dir: Where the run writes; by default what the config says, else ``work_dirs/NAME_OF_CONFIG``.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        UserError: If there is no such file, if it is no config, or if an option does not fit it.
    """
    path = Path(path)
    if path.suffix in CHECKPOINT_SUFFIXES:
        return load_checkpoint_config(path, cfg_options, work_dir, launcher)
    packaged = '::' in str(path)
    if not packaged and not path.is_file():
        near = ', '.join(map(str, _near(path)))
        hint = f'Near it: {near}' if near else f'Those of this project lie in {project_configs()}'
        raise UserError(f'There is no config {path}. {hint}.')
    if path.suffix not in CONFIG_SUFFIXES:
        raise UserError(f'{path} is no config: expected a file that ends in {", ".join(CONFIG_SUFFIXES)}.')
    try:
        if 'MMDET_SNV2_NO_PYTHON_CONFIG' in os.environ:  # set by --no-python-config
            cfg = load_plain_config(path)
        elif packaged:  # MMEngine reads a package's config as a base only, so it becomes the base of an empty one
            cfg = Config.fromstring(f'_base_ = {str(path)!r}', '.py')
        else:
            cfg = Config.fromfile(path)
    except UserError:
        raise
    except (SyntaxError, NameError, KeyError, TypeError, ValueError, FileNotFoundError, ImportError,
            AssertionError) as error:  # the last of a package without configs
        raise UserError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from error
    return _finished(cfg, path, cfg_options, work_dir, launcher)


def _finished(cfg: Config, path: Path, cfg_options: dict[str, Any] | None, work_dir: str | None,
              launcher: str) -> Config:
    _refuse_near_misses(cfg, cfg_options or {})
    _refuse_words_for_numbers(cfg, cfg_options or {})
    try:
        cfg.merge_from_dict(cfg_options or {})
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f'--cfg-options does not fit {path}: {error}') from error
    require_entries(cfg, 'model')
    cfg.launcher = launcher
    cfg.work_dir = work_dir or cfg.get('work_dir') or os.path.join('work_dirs', path.stem)
    return cfg


def load_checkpoint_config(checkpoint: str | os.PathLike, cfg_options: dict[str, Any] | None = None,
                           work_dir: str | None = None, launcher: str = 'none') -> Config:
    """The config that a checkpoint was trained with, or NanoDet's for NanoDet's own files.

    Whoever made the checkpoint wrote it, so it is read without running anything, and where its run wrote and logged is
    left out.

    Args:
        checkpoint: The file.
        cfg_options, launcher: As :func:`load_config` has them.
        work_dir: Where the run writes; by default the folder in ``work_dirs`` of the name that the checkpoint's has.

    Raises:
        UserError: If it is not a checkpoint, or has no config, or one that holds more than plain values.
    """
    checkpoint = Path(checkpoint)
    work_dir = work_dir or os.path.join('work_dirs', checkpoint.parent.name or checkpoint.stem)
    return _finished(_config_inside(checkpoint), checkpoint, cfg_options, work_dir, launcher)


def _config_inside(checkpoint: Path) -> Config:
    try:
        loaded = load(checkpoint, 'cpu')
    except FileNotFoundError as error:
        raise UserError(f'There is no checkpoint {checkpoint}.') from error
    meta = loaded.get('meta') if isinstance(loaded, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if isinstance(text, str) and text.strip():
        try:
            cfg = parse_config_text(text, checkpoint)
        except UserError as error:
            raise UserError(f'{error}\nName its config in front of it, if you trust it: CONFIG {checkpoint}') from error
        for key in ('work_dir', 'resume', 'load_from', 'visualizer', 'vis_backends', 'launcher'):
            cfg.pop(key, None)
        cfg.visualizer = dict(type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
        for metric in (*metrics_of(cfg, 'val_evaluator'), *metrics_of(cfg, 'test_evaluator')):
            for key in ('outfile_prefix', 'format_only', 'out_file_path'):
                metric.pop(key, None)
        return cfg
    state_dict = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else None
    if not isinstance(state_dict, dict) or not is_nanodet(state_dict):
        raise UserError(f'{checkpoint} has no config inside, so its config has to be named in front of it: '
                        f'CONFIG {checkpoint}')
    return Config.fromfile(project_config(NANODET_CONFIG))


def project_config(name: str) -> Path:
    """One of this project's configs by its name, ``nanodet_m_snv2``, from whatever the current folder is.

    Raises:
        UserError: If the package was installed without the folder of its configs.
    """
    path = project_configs() / f'{name}.py'
    if not path.is_file():
        raise UserError(f'{path} is missing: the package was installed without its configs. Name the config, or '
                        f'install with pip install -e . in the folder of the project.')
    return path


def _near(path: Path) -> list[Path]:
    """Configs of nearly that name: those beside it first, then this project's."""
    found: dict[str, Path] = {}
    for config in (*path.parent.glob('*.py'), *project_configs().rglob('*.py')):
        if '_base_' not in config.parts:
            found.setdefault(config.name.removesuffix('.py'), config)
    near = difflib.get_close_matches(path.name.removesuffix('.py'), found, n=3)
    return [Path(os.path.relpath(found[name])) if found[name].is_relative_to(Path.cwd()) else found[name]
            for name in near]


def _refuse_near_misses(cfg: Config, options: dict[str, Any]) -> None:
    """A new key that is nearly one that is known is a mistake in typing; it would be left unread. Others are fine."""
    for option in options:
        holder: Any = cfg
        for number, part in enumerate(parts := option.split('.')):
            if isinstance(holder, (list, tuple)):
                if not part.isdecimal() or int(part) >= len(holder):
                    raise UserError(f'--cfg-options {option}: {".".join(parts[:number])} is a list of {len(holder)}; '
                                    f'expected a number from 0 to {len(holder) - 1}, not {part}.')
                holder = holder[int(part)]
                continue
            if not isinstance(holder, (Config, dict)) or (number and parts[number - 1] == 'custom_keys'):
                break
            if part not in holder:
                accepted = _accepted(holder, top=not number)
                known = {name for name in (*holder, *accepted) if _letters(name) != _letters(part)}
                near = [] if part in accepted else difflib.get_close_matches(part, sorted(known), n=1, cutoff=0.8)
                if near:
                    raise UserError(f'--cfg-options {option}: there is no {".".join(parts[:number + 1])}. Did you mean '
                                    f'{".".join([*parts[:number], near[0], *parts[number + 1:]])}?')
                break
            holder = holder[part]


def _letters(name: str) -> str:
    return ''.join(letter for letter in name if not letter.isdecimal())


def _accepted(holder: Any, top: bool) -> set[str]:
    """Keys that an entry may have: the runner's at the top, else the arguments of the class that it names."""
    kinds = [Runner] if top else []
    if isinstance(name := holder.get('type'), type):
        kinds = [name]
    elif name and not top:
        kinds = [kind for registry in _REGISTRIES if isinstance(kind := registry.get(name), type)]
    arguments = {name for kind in kinds for base in inspect.getmro(kind)[:-1]
                 for name in inspect.signature(base.__init__).parameters}
    return arguments | ({'tta_model', 'tta_pipeline', 'sync_bn', 'find_unused_parameters', 'custom_imports'} if top
                        else {'type', '_delete_', '_scope_'})


def _refuse_words_for_numbers(cfg: Config, options: dict[str, Any]) -> None:
    """Such an option would fail much later, in whatever computes with it."""
    for key, value in options.items():
        old: Any = cfg
        for part in key.split('.'):
            if isinstance(old, (list, tuple)) and part.isdecimal() and int(part) < len(old):
                old = old[int(part)]
            else:
                old = old.get(part) if isinstance(old, (Config, dict)) else None
        is_number = isinstance(old, (int, float)) and not isinstance(old, bool)
        if is_number and isinstance(value, str) and value != 'dynamic':  # AmpOptimWrapper's loss_scale may be that
            raise UserError(f'--cfg-options {key}={value}: expected a number, as the {old} that it replaces.')


def require_entries(cfg: Config, *names: str) -> None:
    """Refuse a config that lacks an entry of the top level.

    Raises:
        UserError: If it does.
    """
    if missing := [name for name in names if cfg.get(name) is None]:
        raise UserError(f'{cfg.filename} has no {missing[0]}: it is a part of a config (those in _base_ are), not a '
                        f'whole one.')


def require_detector(cfg: Config, what: str) -> None:
    """Refuse a classifier's config.

    Args:
        cfg: The config.
        what: What only a detector does, such as ``--tta averages boxes``.

    Raises:
        UserError: If the model is known and no detector.
    """
    if not is_detector(cfg):
        raise UserError(f'{what}, and the model of {cfg.filename} is no detector but {cfg.model.type}.')


def is_detector(cfg: Config) -> bool:
    """Whether the model is a detector, or unknown."""
    model_type = cfg.model.type if isinstance(cfg.model.type, type) else MODELS.get(cfg.model.type)
    return model_type is None or issubclass(model_type, BaseDetector)


def set_resume(cfg: Config, resume: str | None) -> None:
    """Lay ``--resume`` over the config: nothing, ``auto`` (the latest intact checkpoint of the work dir) or a file."""
    if resume is None:
        return
    if resume == 'auto':
        newest = newest_whole(cfg.work_dir)
        if newest is None:
            print(f'There is no checkpoint in {cfg.work_dir} yet: training starts at the beginning.')
            return
        resume = str(newest)
        _note_newest(newest)
    if not os.path.isfile(resume):
        raise UserError(f'There is no checkpoint {resume} to resume from. Name a file such as '
                        f'{cfg.work_dir}/epoch_3.pth, or leave the name out to take the newest of {cfg.work_dir}.')
    cfg.resume, cfg.load_from = True, resume


def _note_newest(newest: Path) -> None:
    """Have MMEngine's note of the newest checkpoint name a whole one, also where the newest of all is torn."""
    note = newest.parent / LAST_CHECKPOINT
    if int(os.environ.get('RANK', 0)) == 0 and not (note.is_file() and note.read_text() == str(newest)):
        write_atomically(note, str(newest).encode())


def check_load_from(cfg: Config) -> None:
    """Raise a :class:`UserError` where the weights to start from are a file that is missing."""
    weights = cfg.get('load_from')
    if weights and '://' not in weights and not os.path.isfile(weights):
        raise UserError(f'load_from={weights}: there is no such file. Name a checkpoint to start from.')


def set_data_root(cfg: Config, root: str | None, data: str | None = None) -> None:
    """Lay ``--data-root`` over the config: every data set and metric reads there what it read in its own root.

    Args:
        cfg: The config, changed in place.
        root: A folder in the layout of the one that the config names; None changes nothing.
        data: The user's own data, which leave nothing of the config's to be read.

    Raises:
        UserError: If it is no folder, or if both are given.
    """
    if root is None:
        return
    if data is not None:
        raise UserError(f'--data {data} and --data-root {root} both name the data: leave one of them out. --data is '
                        f'for data of your own, --data-root for those that the config is for.')
    if not os.path.isdir(root):
        raise UserError(f'--data-root {root} is no folder.')
    root = os.path.join(root, '')
    old_roots = set()
    for dataset in datasets_of(cfg):
        if 'data_root' in dataset:
            old_roots.add(dataset.data_root)
            dataset.data_root = root
    for key in ('val_evaluator', 'test_evaluator'):
        for metric in metrics_of(cfg, key):
            for old in old_roots:
                if str(metric.get('ann_file', '')).startswith(old):
                    metric.ann_file = root + metric.ann_file.removeprefix(old).lstrip('/')


def show_class_wise(cfg: Config) -> None:
    """Have COCO metrics print the AP of each class unless the config decides otherwise."""
    for key in ('val_evaluator', 'test_evaluator'):
        for metric in metrics_of(cfg, key):
            if metric.get('type') in ('CocoMetric', 'mmdet.CocoMetric'):
                metric.setdefault('classwise', True)


def prepare_data(cfg: Config, *splits: str, max_broken: int = 0, say: bool = True, annotated: bool = True) -> None:
    """Check the data of the splits (``train``, ``val``, ``test``) before anything is built; see :mod:`..datasets`."""
    if 'val' in splits and cfg.get('train_dataloader') and cfg.get('val_dataloader'):
        refuse_other_classes(cfg.train_dataloader.dataset, cfg.val_dataloader.dataset)
    for split in splits:
        dataloader = cfg.get(f'{split}_dataloader')
        if dataloader and 'dataset' in dataloader:
            prepare_dataset(dataloader['dataset'], cfg.model.get('num_classes'), max_broken, split == 'train',
                            key=f'{split}_dataloader.dataset', say=say, annotated=annotated)


def cap_workers(cfg: Config) -> str | None:
    """Let no data loader have more workers than this process has cores: they would only wait for one another.

    Returns:
        What was changed; None where nothing was.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    loaders = [loader for loader in map(cfg.get, ('train_dataloader', 'val_dataloader', 'test_dataloader'))
               if loader and loader.get('num_workers', 0) > cores]
    most = max((loader['num_workers'] for loader in loaders), default=0)
    for loader in loaders:
        loader['num_workers'] = cores
    return f'{cores} in place of {most}, as there are {cores} cores' if loaders else None


def datasets_of(cfg: Config) -> Iterator[Any]:
    """Every data set config, the wrapped ones included."""
    dataloaders = [cfg.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    pending = [dataloader.dataset for dataloader in dataloaders if dataloader]
    while pending:
        dataset = pending.pop()
        yield dataset
        pending += [dataset.dataset] if 'dataset' in dataset else list(dataset.get('datasets', []))


def metrics_of(cfg: Config, key: str) -> list[Any]:
    """The metric configs of ``val_evaluator`` or ``test_evaluator``, whichever ``key`` names."""
    evaluator = cfg.get(key) or []
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
