"""Prepare COCO 2017 in ``data/coco``, from the network or from local files. Finished steps are skipped.

Each step writes to a temporary name and renames the result, so files with their final name are complete.
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

# Number of parallel downloads of single images.
_CONNECTIONS = 8
_LOCK = '.prepare_coco.lock'
# The unpacked size may exceed the estimate by this factor.
_SLACK = 1.2


def prepare_coco(
    root: str | os.PathLike[str],
    splits: Sequence[str] = published.SPLITS,
    subset: int | None = None,
    seed: int = 0,
    source: str | os.PathLike[str] | None = None,
    base_url: str = BASE_URL,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Prepare COCO as ``snv2 download`` does.

    Args:
        root: Gets ``annotations/instances_*.json``, ``train2017/`` and ``val2017/``.
        splits: ``train2017``, ``val2017`` or both.
        subset, seed: Number of random images of train2017 to use, and the random seed. None uses all images.
        source: One of the archives, or a folder with archives or unpacked files. Missing ones are downloaded.
        base_url: Server with the same layout as the official one.
        say: Called with each message for the user.

    Returns:
        The options of ``snv2 train`` that use the subset; empty without a subset.

    Raises:
        UserError: If a file is missing or incomplete, or the disk is full.
    """
    root = Path(root)
    if unknown := sorted(set(splits) - set(published.SPLITS)):
        raise UserError(f'splits={" ".join(unknown)}: expected {" or ".join(published.SPLITS)}.')
    if subset is not None and 'train2017' not in splits:
        raise UserError('`subset` needs train2017, but `splits` does not contain it. Add it to `splits`.')
    if subset is not None:
        _check_subset(subset, published.ARCHIVES['train2017'].images)
    complete = [split for split in splits if not (split == 'train2017' and subset is not None)]
    steps = _Steps(root, _Given(source), base_url.rstrip('/'), say)
    steps.announce_sizes(splits, complete, subset)
    new = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _remove_if_empty(root, new), _exclusive(root):
            steps.take_annotations(splits)
            for split in complete:
                steps.take_images(split)
            return steps.take_subset(subset, seed) if subset is not None else []
    except OSError as error:
        raise UserError(
            f'{error.filename or root} cannot be written or read: {error.strerror}. Free some space, or '
            f'choose another folder with root=DIR.'
        ) from error


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(root / _LOCK, wait=False))
        except BlockingIOError:
            raise UserError(f'Another snv2 download is running in {root}. Wait until it has finished.') from None
        yield


@contextmanager
def _remove_if_empty(root: Path, new: Sequence[Path]) -> Iterator[None]:
    """Remove the folders ``new``, innermost first, if they are still empty at the end."""
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
    """Archives and folders that the user has already."""

    def __init__(self, source: str | os.PathLike[str] | None) -> None:
        self.path = None if source is None else Path(source)
        if self.path is not None and not self.path.exists():
            raise UserError(f'source={source}: no such file or folder.')
        names = [archive.name for archive in published.ARCHIVES.values()]
        if self.path is not None and self.path.is_file() and self.path.name not in names:
            raise UserError(f'source={source}: expected one of {", ".join(names)}, or a folder with them.')
        if self.path is not None and not any(self.archive(name) or self.folder(name) for name in published.ARCHIVES):
            raise UserError(
                f'source={source} does not contain COCO. Expected {", ".join(names)}, or the folders '
                f'{", ".join(published.ARCHIVES)}. Remove `source` to download everything.'
            )

    def archive(self, name: str) -> Path | None:
        """The given archive of ``annotations``, ``train2017`` or ``val2017``; None if there is none."""
        wanted = published.ARCHIVES[name].name
        paths = () if self.path is None else (self.path, self.path / wanted)
        return next((path for path in paths if path.is_file() and path.name == wanted), None)

    def folder(self, name: str) -> Path | None:
        """The given folder ``annotations``, ``train2017`` or ``val2017``; None if there is none."""
        path = None if self.path is None else self.path / name
        return path if path is not None and path.is_dir() else None


@dataclass
class _Steps:
    """The steps that fill ``root`` from given files or from the server."""

    root: Path
    given: _Given
    base_url: str
    say: Callable[[str], None]

    def annotation_file(self, split: str) -> Path:
        return self.root / 'annotations' / f'instances_{split}.json'

    def announce_sizes(self, splits: Sequence[str], complete: Sequence[str], subset: int | None) -> None:
        """Print the sizes of downloads and unpacked files before starting.

        Raises:
            UserError: If there is not enough disk space.
        """
        traffic = kept = largest = 0
        for name in (ANNOTATIONS, *complete):
            archive = published.ARCHIVES[name]
            done = (
                (self.root / name).is_dir()
                if name in complete
                else all(self.annotation_file(split).is_file() for split in splits)
            )
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
        # Each archive is deleted after unpacking, so only the largest counts.
        need = kept + largest
        existing = next(path for path in (self.root.absolute(), *self.root.absolute().parents) if path.is_dir())
        free = shutil.disk_usage(existing).free
        self.say(
            f'download: {_size(traffic)}, unpacked: {_size(kept)}; needs {_size(need)} of disk space in '
            f'{self.root} ({_size(free)} free)'
        )
        if need > free:
            raise UserError(
                f'Not enough disk space in {self.root}: {_size(free)} free, {_size(need)} needed. Free '
                f'some space, choose another folder with root=DIR, or use less: splits=val2017, '
                f'subset=1000.'
            )

    @contextmanager
    def archive(self, name: str) -> Iterator[Path]:
        """A complete archive. A downloaded one is deleted when the context ends without an error."""
        published_as = published.ARCHIVES[name]
        if (path := self.given.archive(name)) is not None:
            # It may have been repacked; the unpacked files are counted, and their CRCs checked.
            if path.stat().st_size != published_as.size or md5_of(path) != published_as.md5:
                self.say(
                    f'{path} differs from the published file (size or MD5 sum); it is used if its content is complete'
                )
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
                raise UserError(f'{found / path.name} lists {images} images, expected {expected}.')
            with unfinished_file(path) as unfinished:
                shutil.copyfile(found / path.name, unfinished)
            self.say(f'{path}: {expected} images')

    def take_images(self, split: str) -> None:
        target = self.root / split
        names = [image['file_name'] for image in read_annotations(self.annotation_file(split))['images']]
        if target.is_dir():
            _check_complete(target, names)
            self.say(f'{target}: {len(names)} images exist already')
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
        if everything.is_dir():  # use its images
            _check_complete(everything, names)
            folder = everything
        elif not folder.is_dir():
            self.fetch_subset(folder, names)
        check_images([folder / name for name in names])
        write_json(ann_file, chosen, indent=None)
        self.say(f'{ann_file}: {count} images, in {folder}')
        return [
            '--cfg-options',
            f'train_dataloader.dataset.ann_file=annotations/{ann_file.name}',
            f'train_dataloader.dataset.data_prefix.img={folder.name}/',
        ]

    def fetch_subset(self, folder: Path, names: Sequence[str]) -> None:
        """Get only the images of the subset: from the given archive or folder, or one by one from the server."""
        if (path := self.given.archive('train2017')) is not None:
            wanted = {f'train2017/{name}' for name in names}
            unpack(path, folder, wanted.__contains__, published.ARCHIVES['train2017'].unpacked)
            return
        # Kept after an interruption, so that complete files are not downloaded again.
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
    existing = set(os.listdir(folder))
    if missing := [name for name in names if name not in existing]:
        raise UserError(
            f'{folder} lacks {len(missing)} of {len(names)} images, such as {missing[0]}. Move it to '
            f'another folder and run the command again.'
        )


def subset_name(split: str, count: int, seed: int) -> str:
    """The name of the subset in file names."""
    return f'{split}_subset{count}_seed{seed}'


def _check_subset(count: int, most: int) -> None:
    """Raise a :class:`UserError` unless ``count`` images can be chosen from ``most``."""
    if not 0 < count <= most:
        raise UserError(f'subset={count}: expected 1 to {most}, the number of images with boxes.')


def choose_subset(annotations: dict[str, Any], count: int, seed: int) -> dict[str, Any]:
    """The annotations of ``count`` random images with boxes. The same arguments give the same images.

    Raises:
        UserError: If there are fewer images.
    """
    with_boxes = sorted({annotation['image_id'] for annotation in annotations['annotations']})
    _check_subset(count, len(with_boxes))
    return of_images(annotations, set(random.Random(seed).sample(with_boxes, count)))
