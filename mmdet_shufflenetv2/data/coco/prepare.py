"""COCO 2017 at ``data/coco``, from the network or from what is there already, step by step; a finished step is skipped.

A step ends by renaming what it has made, so whatever has its final name is complete.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ...utils.download import download, md5_of, part_of
from ...utils.errors import UserError
from ...utils.files import locked, unfinished_file, unfinished_folder, write_json
from ..annotation_file import of_images, read_annotations
from ..checks import check_images
from . import published
from .published import ANNOTATIONS, BASE_URL
from .unpack import unpack

__all__ = ['choose_subset', 'prepare_coco', 'subset_name']

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
        subset, seed: Take only so many images of train2017, and which ones.
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
        _check_subset(subset, published.ARCHIVES['train2017'].images)
    whole = [split for split in splits if not (split == 'train2017' and subset is not None)]
    steps = _Steps(root, _Given(source), base_url.rstrip('/'), say)
    steps.say_what_it_takes(splits, whole, subset)
    new = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _nothing_left(root, new), _alone(root):
            steps.take_annotations(splits)
            for split in whole:
                steps.take_images(split)
            return steps.take_subset(subset, seed) if subset is not None else []
    except OSError as error:
        raise UserError(f'{error.filename or root} cannot be written or read: {error.strerror}. Make room, or name a '
                        f'root=ELSEWHERE.') from error


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(root / _LOCK, wait=False))
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
        if self.path is not None and not any(self.archive(name) or self.folder(name) for name in published.ARCHIVES):
            raise UserError(f'source={source}: nothing of COCO is in it. Expected {", ".join(names)}, or the folders '
                            f'{", ".join(published.ARCHIVES)}. Without `source` everything is downloaded.')

    def archive(self, name: str) -> Path | None:
        """The archive of ``annotations``, ``train2017`` or ``val2017``, where it is given."""
        wanted = published.ARCHIVES[name].name
        paths = () if self.path is None else (self.path, self.path / wanted)
        return next((path for path in paths if path.is_file() and path.name == wanted), None)

    def folder(self, name: str) -> Path | None:
        """``annotations``, ``train2017`` or ``val2017``, where it is given unpacked."""
        path = None if self.path is None else self.path / name
        return path if path is not None and path.is_dir() else None


@dataclass
class _Steps:
    """What is taken to ``root``, from what is given or from the server."""

    root: Path
    given: _Given
    base_url: str
    say: Callable[[str], None]

    def annotation_file(self, split: str) -> Path:
        return self.root / 'annotations' / f'instances_{split}.json'

    def say_what_it_takes(self, splits: Sequence[str], whole: Sequence[str], subset: int | None) -> None:
        """Traffic and disk, before anything is begun.

        Raises:
            UserError: If the disk has no room for it.
        """
        traffic = kept = largest = 0
        for name in (ANNOTATIONS, *whole):
            archive = published.ARCHIVES[name]
            done = (self.root / name).is_dir() if name in whole else all(
                self.annotation_file(split).is_file() for split in splits)
            if done or self.given.folder(name):
                continue
            kept += archive.unpacked
            if self.given.archive(name) is None:
                part = part_of(self.root / archive.name)
                missing = archive.size - (part.stat().st_size if part.is_file() else 0)
                traffic += max(missing, 0)
                largest = max(largest, missing)
        if subset is not None and not (self.root / 'train2017').is_dir():
            train = published.ARCHIVES['train2017']
            part_of_all = int(train.unpacked * subset / max(train.images, 1))
            kept += part_of_all
            traffic += 0 if self.given.archive('train2017') or self.given.folder('train2017') else part_of_all
        # Each archive is deleted once it is unpacked, so only the largest counts.
        need = kept + largest
        there = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.is_dir())
        free = shutil.disk_usage(there).free
        self.say(f'to download {_size(traffic)}, to unpack {_size(kept)}; needs {_size(need)} of disk in {self.root}, '
                 f'where {_size(free)} are free')
        if need > free:
            raise UserError(f'{self.root} has {_size(free)} of disk left, and {_size(need)} are needed. Make room, '
                            f'name a root=ELSEWHERE, or take less: splits=val2017, subset=1000.')

    @contextmanager
    def archive(self, name: str) -> Iterator[Path]:
        """An archive, whole; one that was downloaded is deleted when the context ends well."""
        published_as = published.ARCHIVES[name]
        if (path := self.given.archive(name)) is not None:
            # Somebody may have packed it anew; what is unpacked is counted and has CRCs.
            if path.stat().st_size != published_as.size or md5_of(path) != published_as.md5:
                self.say(f'{path} is not the published file (another size or MD5 sum); taken if what is in it is '
                         f'complete')
            yield path
        else:
            path = self.root / published_as.name
            yield download(f'{self.base_url}/{published_as.path}', path, published_as.size, published_as.md5)
            path.unlink()

    def take_annotations(self, splits: Sequence[str]) -> None:
        wanted = {split: path for split in splits if not (path := self.annotation_file(split)).is_file()}
        if not wanted:
            return
        folder = self.given.folder(ANNOTATIONS)
        if folder is not None and all((folder / path.name).is_file() for path in wanted.values()):
            self._copy_annotations(wanted, folder, folder)
            return
        names = {path.name for path in wanted.values()}
        unpacked = self.root / f'.{ANNOTATIONS}.unpacked'
        with self.archive(ANNOTATIONS) as archive:
            shutil.rmtree(unpacked, ignore_errors=True)  # of a process that was killed
            try:
                unpack(archive, unpacked, lambda name: name.rsplit('/', 1)[-1] in names, _limit(ANNOTATIONS))
                self._copy_annotations(wanted, unpacked, archive)
            finally:
                shutil.rmtree(unpacked, ignore_errors=True)

    def _copy_annotations(self, wanted: dict[str, Path], found: Path, source: Path) -> None:
        (self.root / 'annotations').mkdir(exist_ok=True)
        for split, path in wanted.items():
            if not (found / path.name).is_file():
                raise UserError(f'{source} has no {path.name}.')
            images, expected = len(read_annotations(found / path.name)['images']), published.ARCHIVES[split].images
            if images != expected:
                raise UserError(f'{found / path.name} lists {images} images; {split} has {expected}.')
            with unfinished_file(path) as unfinished:
                shutil.copyfile(found / path.name, unfinished)
            self.say(f'{path}: {expected} images')

    def take_images(self, split: str) -> None:
        target = self.root / split
        names = [image['file_name'] for image in read_annotations(self.annotation_file(split))['images']]
        if target.is_dir():
            _check_complete(target, names)
            self.say(f'{target}: {len(names)} images are there already')
        elif (folder := self.given.folder(split)) is not None:
            _check_complete(folder, names)
            check_images([folder / name for name in names])
            target.symlink_to(folder.absolute(), target_is_directory=True)
            self.say(f'{target}: {len(names)} images, linked to {folder}')
        else:
            with self.archive(split) as path, unfinished_folder(target, exclusive=True) as unchecked:
                unpack(path, unchecked, lambda name: name.endswith('.jpg'), _limit(split))
                _check_complete(unchecked, names)
            self.say(f'{target}: {len(names)} images')

    def take_subset(self, count: int, seed: int) -> list[str]:
        name = subset_name('train2017', count, seed)
        ann_file = self.annotation_file(name)
        chosen = choose_subset(read_annotations(self.annotation_file('train2017')), count, seed)
        names = [image['file_name'] for image in chosen['images']]
        everything, folder = self.root / 'train2017', self.root / name
        if everything.is_dir():  # then the subset needs no images of its own
            _check_complete(everything, names)
            folder = everything
        elif not folder.is_dir():
            self.fetch_subset(folder, names)
        check_images([folder / name for name in names])
        write_json(ann_file, chosen, indent=None)
        self.say(f'{ann_file}: {count} images, in {folder}')
        return ['--cfg-options', f'train_dataloader.dataset.ann_file=annotations/{ann_file.name}',
                f'train_dataloader.dataset.data_prefix.img={folder.name}/']

    def fetch_subset(self, folder: Path, names: Sequence[str]) -> None:
        """Only the images that are needed: from the archive or folder that is given, else one by one from the server.
        """
        if (path := self.given.archive('train2017')) is not None:
            wanted = {f'train2017/{name}' for name in names}
            unpack(path, folder, wanted.__contains__, published.ARCHIVES['train2017'].unpacked)
            return
        # Kept when this is interrupted: what is whole is not fetched twice.
        unfinished = folder.with_name(f'{folder.name}.unfinished')
        unfinished.mkdir(exist_ok=True)
        found = self.given.folder('train2017')
        if found is not None:
            _check_complete(found, names)

        def fetch(name: str) -> None:
            if found is not None:
                shutil.copyfile(found / name, unfinished / name)
            elif not (unfinished / name).is_file():
                download(f'{self.base_url}/train2017/{name}', unfinished / name, bar=False)

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            for _ in tqdm(pool.map(fetch, names), total=len(names), desc=folder.name, unit='img'):
                pass
        unfinished.rename(folder)


def _size(number: float) -> str:
    return f'{number / 1e9:.1f} GB' if number >= 1e8 else f'{number / 1e6:.1f} MB'


def _limit(name: str) -> int:
    return int(published.ARCHIVES[name].unpacked * _SLACK)


def _check_complete(folder: Path, names: Sequence[str]) -> None:
    there = set(os.listdir(folder))
    if missing := [name for name in names if name not in there]:
        raise UserError(f'{folder} lacks {len(missing)} of {len(names)} images, {missing[0]} for instance. Move it '
                        f'away and call this again.')


def subset_name(split: str, count: int, seed: int) -> str:
    """What the subset is called in file names."""
    return f'{split}_subset{count}_seed{seed}'


def _check_subset(count: int, most: int) -> None:
    """Raise a :class:`UserError` unless so many images can be chosen from ``most``."""
    if not 0 < count <= most:
        raise UserError(f'subset={count}: expected 1 to {most}, so many images there are with boxes.')


def choose_subset(annotations: dict[str, Any], count: int, seed: int) -> dict[str, Any]:
    """The annotation file of ``count`` images that have boxes; the same arguments give the same images.

    Raises:
        UserError: If there are not so many.
    """
    with_boxes = sorted({annotation['image_id'] for annotation in annotations['annotations']})
    _check_subset(count, len(with_boxes))
    return of_images(annotations, set(random.Random(seed).sample(with_boxes, count)))
