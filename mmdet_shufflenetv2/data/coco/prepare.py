"""COCO 2017 at ``data/coco``, from the network or from what is there already, step by step; a finished step is skipped.

A step ends by renaming what it has made, so whatever has its final name is complete.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...utils.errors import UserError
from ...utils.files import unfinished_file, unfinished_folder, write_json
from ..annotation_file import read_annotations
from ..checks import check_images
from . import published
from .download import download, md5_of, part_of
from .published import ANNOTATIONS, BASE_URL, Archive
from .subset import check_subset, choose_subset, subset_name
from .unpack import unpack

__all__ = ['prepare_coco']

# Images that are fetched one by one at the same time.
_CONNECTIONS = 8
_LOCK = '.prepare_coco.lock'
# What is unpacked may differ from what was estimated by this factor.
_SLACK = 1.2


def prepare_coco(root: str | os.PathLike, splits: Sequence[str] = published.SPLITS, subset: int | None = None,
                 seed: int = 0, source: str | os.PathLike | None = None, base_url: str = BASE_URL,
                 say: Callable[[str], None] = print) -> list[str]:
    """Prepare COCO as ``snv2 download`` does.

    Args:
        root: Gets ``annotations/instances_*.json``, ``train2017/`` and ``val2017/``.
        splits: ``train2017``, ``val2017`` or both.
        subset: Take only so many images of train2017, chosen with ``seed``.
        seed: Which ones.
        source: One of the archives, or a folder that has them or what is in them; what it lacks is downloaded.
        base_url: Server with the layout of the official one.
        say: Gets lines for the user.

    Returns:
        The options of ``snv2 train`` that use a subset; nothing without.

    Raises:
        UserError: If something is not there, not whole, or has no room on the disk.
    """
    root = Path(root)
    if unknown := sorted(set(splits) - set(published.SPLITS)):
        raise UserError(f'splits={" ".join(unknown)}: expected {" or ".join(published.SPLITS)}.')
    if subset is not None and 'train2017' not in splits:
        raise UserError('`subset` takes a part of train2017, which is not among `splits`. Add it there.')
    if subset is not None:
        check_subset(subset, published.ARCHIVES['train2017'].images)
    given = _Given(source)
    whole = [split for split in splits if not (split == 'train2017' and subset is not None)]
    _say_what_it_takes(root, splits, whole, subset, given, say)
    new = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _nothing_left(root, new), _alone(root):
            _take_annotations(root, splits, given, base_url, say)
            for split in whole:
                _take_images(root, split, given, base_url, say)
            return _take_subset(root, subset, seed, given, base_url, say) if subset is not None else []
    except OSError as error:
        raise UserError(f'{error.filename or root} cannot be written or read: {error.strerror}. Make room, or name a '
                        f'root=ELSEWHERE.') from error


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    with open(root / _LOCK, 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f'Another snv2 download runs in {root}. Wait until it has ended.') from None
        yield


@contextmanager
def _nothing_left(root: Path, new: Sequence[Path]) -> Iterator[None]:
    """Remove the folders ``new``, innermost first, and what was empty in them, where nothing was put there."""
    try:
        yield
    finally:
        with suppress(OSError):
            (root / 'annotations').rmdir()
        if new and os.listdir(root) == [_LOCK]:
            (root / _LOCK).unlink()
            for folder in new:
                folder.rmdir()


class _Given:
    """What the user has already."""

    def __init__(self, source: str | os.PathLike | None) -> None:
        self.path = None if source is None else Path(source)
        if self.path is not None and not self.path.exists():
            raise UserError(f'source={source}: there is no such file or folder.')
        names = [archive.name for archive in published.ARCHIVES.values()]
        if self.path is not None and self.path.is_file() and self.path.name not in names:
            raise UserError(f'source={source}: expected one of {", ".join(names)}, or a folder with them.')
        if self.path is not None and not any(
                self.archive(archive) or self.folder(name) for name, archive in published.ARCHIVES.items()):
            raise UserError(f'source={source}: nothing of COCO is in it. Expected {", ".join(names)}, or the folders '
                            f'{", ".join(published.ARCHIVES)}. Without `source` everything is downloaded.')

    def archive(self, wanted: Archive) -> Path | None:
        """The archive, where it is given."""
        for path in () if self.path is None else (self.path, self.path / wanted.name):
            if path.is_file() and path.name == wanted.name:
                return path
        return None

    def folder(self, name: str) -> Path | None:
        """``annotations``, ``train2017`` or ``val2017``, where it is given unpacked."""
        path = None if self.path is None else self.path / name
        return path if path is not None and path.is_dir() else None


def _annotation_file(root: Path, split: str) -> Path:
    return root / 'annotations' / f'instances_{split}.json'


def _say_what_it_takes(root: Path, splits: Sequence[str], whole: Sequence[str], subset: int | None, given: _Given,
                       say: Callable[[str], None]) -> None:
    """Traffic and disk, before anything is begun.

    Raises:
        UserError: If the disk has no room for it.
    """
    traffic = kept = largest = 0
    for name in (ANNOTATIONS, *whole):
        archive = published.ARCHIVES[name]
        done = (root / name).is_dir() if name in whole else all(
            _annotation_file(root, split).is_file() for split in splits)
        if done or given.folder(name):
            continue
        kept += archive.unpacked
        if given.archive(archive) is None:
            part = part_of(root / archive.name)
            have = part.stat().st_size if part.is_file() else 0
            traffic += max(archive.size - have, 0)
            largest = max(largest, archive.size - have)
    train = published.ARCHIVES['train2017']
    if subset is not None and not (root / 'train2017').is_dir():
        part_of_all = int(train.unpacked * subset / max(train.images, 1))
        kept += part_of_all
        traffic += 0 if given.archive(train) or given.folder('train2017') else part_of_all
    # Each archive is deleted once it is unpacked, so only the largest counts.
    need = kept + largest
    there = next(path for path in (root.absolute(), *root.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    say(f'to download {_size(traffic)}, to unpack {_size(kept)}; needs {_size(need)} of disk in {root}, where '
        f'{_size(free)} are free')
    if need > free:
        raise UserError(f'{root} has {_size(free)} of disk left, and {_size(need)} are needed. Make room, name a '
                        f'root=ELSEWHERE, or take less: splits=val2017, subset=1000.')


def _size(number: float) -> str:
    return f'{number / 1e9:.1f} GB' if number >= 1e8 else f'{number / 1e6:.1f} MB'


def _archive(root: Path, name: str, given: _Given, base_url: str, say: Callable[[str], None]) -> tuple[Path, bool]:
    """An archive, whole, and whether it is ours to delete."""
    archive = published.ARCHIVES[name]
    if (path := given.archive(archive)) is not None:
        # Somebody may have packed it anew; what is unpacked is counted and has CRCs.
        if path.stat().st_size != archive.size or md5_of(path) != archive.md5:
            say(f'{path} is not the published file (another size or MD5 sum); taken if what is in it is complete')
        return path, False
    return download(f'{base_url.rstrip("/")}/{archive.path}', root / archive.name, archive.size, archive.md5), True


def _take_annotations(root: Path, splits: Sequence[str], given: _Given, base_url: str,
                      say: Callable[[str], None]) -> None:
    wanted = [_annotation_file(root, split) for split in splits if not _annotation_file(root, split).is_file()]
    if not wanted:
        return
    if (folder := given.folder(ANNOTATIONS)) is not None and all((folder / path.name).is_file() for path in wanted):
        found, temporary, archive = folder, None, None
    else:
        path, ours = _archive(root, ANNOTATIONS, given, base_url, say)
        found = temporary = root / f'.{ANNOTATIONS}.unpacked'
        archive = path if ours else None
        names = {path.name for path in wanted}
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
        unpack(path, temporary, lambda name: name.rsplit('/', 1)[-1] in names,
               int(published.ARCHIVES[ANNOTATIONS].unpacked * _SLACK))
    try:
        (root / 'annotations').mkdir(exist_ok=True)
        for path in wanted:
            split = path.stem.removeprefix('instances_')
            if not (found / path.name).is_file():
                raise UserError(f'{archive or given.path} has no {path.name}.')
            _check_count(found / path.name, split)
            with unfinished_file(path) as unfinished:
                shutil.copyfile(found / path.name, unfinished)
            say(f'{path}: {published.ARCHIVES[split].images} images')
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    if archive is not None:
        archive.unlink()


def _check_count(ann_file: Path, split: str) -> dict[str, Any]:
    annotations, expected = read_annotations(ann_file), published.ARCHIVES[split].images
    if len(annotations['images']) != expected:
        raise UserError(f'{ann_file} lists {len(annotations["images"])} images; {split} has {expected}.')
    return annotations


def _take_images(root: Path, split: str, given: _Given, base_url: str, say: Callable[[str], None]) -> None:
    target = root / split
    names = [image['file_name'] for image in read_annotations(_annotation_file(root, split))['images']]
    if target.is_dir():
        _check_complete(target, names)
        say(f'{target}: {len(names)} images are there already')
        return
    if (folder := given.folder(split)) is not None:
        _check_complete(folder, names)
        check_images([folder / name for name in names])
        target.symlink_to(folder.absolute(), target_is_directory=True)
        say(f'{target}: {len(names)} images, linked to {folder}')
        return
    path, ours = _archive(root, split, given, base_url, say)
    with unfinished_folder(target, alone=True) as unchecked:
        unpack(path, unchecked, lambda name: name.endswith('.jpg'),
               int(published.ARCHIVES[split].unpacked * _SLACK))
        _check_complete(unchecked, names)
    if ours:
        path.unlink()
    say(f'{target}: {len(names)} images')


def _check_complete(folder: Path, names: Sequence[str]) -> None:
    there = set(os.listdir(folder))
    if missing := [name for name in names if name not in there]:
        raise UserError(f'{folder} lacks {len(missing)} of {len(names)} images, {missing[0]} for instance. Move it '
                        f'away and call this again.')


def _take_subset(root: Path, count: int, seed: int, given: _Given, base_url: str,
                 say: Callable[[str], None]) -> list[str]:
    name = subset_name('train2017', count, seed)
    ann_file = _annotation_file(root, name)
    chosen = choose_subset(read_annotations(_annotation_file(root, 'train2017')), count, seed)
    names = [image['file_name'] for image in chosen['images']]
    everything, folder = root / 'train2017', root / name
    if everything.is_dir():  # then the subset needs no images of its own
        _check_complete(everything, names)
        folder = everything
    elif not folder.is_dir():
        _fetch_subset(folder, names, given, base_url)
    check_images([folder / name for name in names])
    write_json(ann_file, chosen, indent=None)
    say(f'{ann_file}: {count} images, in {folder}')
    return ['--cfg-options', f'train_dataloader.dataset.ann_file=annotations/{ann_file.name}',
            f'train_dataloader.dataset.data_prefix.img={folder.name}/']


def _fetch_subset(folder: Path, names: Sequence[str], given: _Given, base_url: str) -> None:
    """Only the images that are needed: from the archive or folder that is given, else one by one from the server."""
    archive = published.ARCHIVES['train2017']
    if (path := given.archive(archive)) is not None:
        wanted = {f'train2017/{name}' for name in names}
        unpack(path, folder, wanted.__contains__, archive.unpacked)
        return
    # Kept when this is interrupted: what is whole is not fetched twice.
    unfinished = folder.with_name(f'{folder.name}.unfinished')
    unfinished.mkdir(exist_ok=True)
    if (found := given.folder('train2017')) is not None:
        _check_complete(found, names)
        fetch: Callable[[str], Any] = lambda name: shutil.copyfile(found / name, unfinished / name)  # noqa: E731
    else:
        fetch = partial(_fetch_image, f'{base_url.rstrip("/")}/train2017', unfinished)
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        for _ in tqdm(pool.map(fetch, names), total=len(names), desc=folder.name, unit='img'):
            pass
    unfinished.rename(folder)


def _fetch_image(address: str, folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        download(f'{address}/{name}', folder / name, bar=False)
