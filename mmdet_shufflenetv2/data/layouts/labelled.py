"""Convert the content of label files to splits with COCO annotations.

Each reader of a format fills a :class:`Labels`. The shared parts are here: finding the file of an image, its split, the
order of images and classes, and checks of boxes.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from ...utils.errors import UserError
from ...utils.images import IMAGE_SUFFIXES, check_image_files, files_below
from ..audit import leaves_folder
from ..problems import few, shown
from .description import SPLITS, Split, UserDataset, split_named
from .label_files import (
    LabelFileError,
    decoded,
    format_of,
    label_files,
    read_csv,
    read_json_labels,
    read_json_lines,
    read_lines,
    read_xml,
)

__all__ = ['CLASS_LISTS', 'NO_CLASSES', 'Box', 'Corners', 'Image', 'Labels', 'corners_of_points', 'float_of']

# Boxes may end at the border, and coordinates are rounded.
_OUTSIDE = 1.0
# A box that reaches outside by a larger fraction of the image belongs to an image of another size.
_FAR_OUTSIDE = 0.1
#: Names of class lists.
CLASS_LISTS = (
    'classes.txt',
    'predefined_classes.txt',
    'class_names.txt',
    'labels.txt',
    'labelmap.txt',
    'label_map.pbtxt',
    'labelmap.pbtxt',
    'classes.csv',
    'obj.names',
)
#: Names in class lists that are not object classes.
NO_CLASSES = ('__ignore__', '_background_', 'background')
# Folders with masks as images, such as VOC's SegmentationClass.
_MASKS = re.compile(r'segmentation(class|object)|masks?$', re.IGNORECASE)
_READERS = {
    '.xml': read_xml,
    '.json': read_json_labels,
    '.csv': read_csv,
    '.ndjson': read_json_lines,
    '.txt': read_lines,
}

Corners = tuple[Any, Any, Any, Any]


class Box(NamedTuple):
    """A box in a label file."""

    #: Name of its class; can be any value.
    name: Any
    #: x1, y1, x2, y2 in pixels, which can be any values; or a function from the image size to them.
    corners: Corners | Callable[[int, int], Corners]
    #: Its file and line, for messages.
    where: str
    #: Whether it is ignored in training and evaluation.
    ignore: bool = False


@dataclass
class Image:
    """An image in a label file."""

    #: Its path or URL; None if the label file does not name it.
    name: str | None
    source: Path
    #: File and line, for messages.
    where: str
    boxes: list[Box] = field(default_factory=list)
    #: The stated width and height, which can be any values.
    size: tuple[Any, Any] = (None, None)
    #: Its split, if the label file states it.
    split: str | None = None
    #: Whether the label file belongs to this image only and has the same name.
    alone: bool = False


@dataclass
class Labels:
    """The content of all label files of a data set."""

    format: str
    root: Path
    images: list[Image] = field(default_factory=list)
    #: Names of all classes, if the format lists them.
    classes: Sequence[str] | None = None
    #: Split (None if unknown), problem, and example.
    faults: list[tuple[str | None, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: All label files, including unreadable ones.
    files: set[Path] = field(default_factory=set)
    #: Stems of images that are labeled or have another fault, so that they are not reported as unlabeled.
    known: set[str] = field(default_factory=set)
    #: Whether lists define which images belong to the data set.
    lists: bool = False

    def fault(self, problem: str, example: str, path: Path | None = None) -> None:
        """Count a problem of a label file."""
        self.faults.append((self.split_of(path) if path else None, problem, example))
        if problem == 'label_file' and path:
            self.known.add(path.stem)

    def split_of(self, path: Path) -> str | None:
        """The split in the name of a path inside the data set; None if there is none."""
        inside = path.relative_to(self.root)
        return next(filter(None, map(split_named, (*inside.parent.parts, inside.stem))), None)

    def read_each(self, files: Iterable[Path]) -> Iterable[tuple[Path, Any]]:
        """Each label file with its parsed content. Unreadable files become faults."""
        for path in files:
            self.files.add(path)
            try:
                yield path, _READERS[path.suffix.lower()](path)
            except LabelFileError as error:
                self.fault('label_file', str(error), path)

    def dataset(self) -> UserDataset:
        """Convert all labels to a data set.

        Raises:
            UserError: If no image is found, no box has a class, or there is no training split.
        """
        index = _Index(self.root)
        self._note_strays()
        parts = self._found(index)
        if not any(parts.values()):
            raise self._nothing_found(index)
        if 'train' not in parts:
            raise UserError(
                f'data={self.root} has annotations for {" and ".join(parts)}, but no training split. '
                f'Expected a folder or a list named train.'
            )
        classes = self._class_names(parts)
        data = UserDataset(self.format, self.root, classes, {}, notes=self.notes)
        self._note_unlabeled(index, parts)
        for split in SPLITS:
            if split in parts:
                data.splits[split], data.faults[split] = self._split(split, parts[split], classes)
        for stated, problem, example in self.faults:
            data.faults[stated if stated in data.splits else 'train'].append((problem, example))
        return data

    def _found(self, index: _Index) -> dict[str, dict[Path, list[Image]]]:
        """Split -> image file -> its entries in label files."""
        parts: dict[str | None, dict[Path, list[Image]]] = defaultdict(dict)
        elsewhere: list[str] = []
        for image in self.images:
            # The name of an image or of its own label file is not a split: test_001.xml can be a training image.
            hint = image.split or self.split_of(image.source.parent if image.alone else image.source)
            path, problem, said = index.find(image, hint)
            if path is None:
                self.faults.append((hint, problem, said))
                if problem == 'image_ambiguous':
                    self.known.add(Path(_path_of(image.name)).stem)
                continue
            self.known.add(path.stem)
            if said:
                elsewhere.append(said)
            of_split = parts[hint or self.split_of(path.parent)]
            if path in of_split:
                self.faults.append((hint, 'image_twice', f'{image.where}: {shown(path.name)}'))
            of_split.setdefault(path, []).append(image)
        if elsewhere:
            self.notes.append(f'{len(elsewhere)} images are at another path than stated: {elsewhere[0]}')
        rest = parts.pop(None, None)
        if rest and 'train' in parts:
            first = next(iter(rest.values()))[0]
            self.notes.append(
                f'{len(rest)} images are left out, because they are not in any split (the first: {first.where})'
            )
        elif rest:
            parts['train'] = rest
        return {split: parts[split] for split in SPLITS if split in parts}

    def _nothing_found(self, index: _Index) -> UserError:
        if not self.images:
            said = next((example for _, problem, example in self.faults if problem == 'label_file'), None)
            return UserError(
                f'data={self.root} is in the format {self.format}, but it has no labeled images'
                + (f': {said}.' if said else '. Export it again, with its annotations.')
            )
        first = self.images[0]
        above = self.root.absolute().parent
        hint = f' If they are next to this folder, name the parent folder: data={above}' if not index.files else ''
        return UserError(
            f'data={self.root} is in the format {self.format}, but none of its {len(self.images)} images '
            f'was found: the first is {shown(first.name or first.source.stem)} ({first.where}). '
            f'Put them into {self.root / "images"}.{hint}'
        )

    def _class_names(self, parts: dict[str, dict[Path, list[Image]]]) -> tuple[str, ...]:
        used = Counter(
            name
            for images in parts.values()
            for said in images.values()
            for image in said
            for box in image.boxes
            if (name := _name(box.name))
        )
        listed, source = self.classes, 'labels of the export'
        if not listed:
            listed, source = self._class_list(used)
        if listed and used and not set(listed) & set(used):
            self.notes.append(f'{source} is ignored: no box has a class in it')
            listed = None
        if not listed:
            if not used:
                raise UserError(
                    f'data={self.root} is in the format {self.format}, but no box has a class. Export it '
                    f'again, with its annotations.'
                )
            listed = sorted(used)
        plain = defaultdict(list)
        for name in sorted({*listed, *used}):
            plain[re.sub(r'[\s_-]+', '', name).casefold()].append(name)
        self.notes += [
            f'{" and ".join(map(repr, names))} are different classes, because their names are not '
            f'identical. If they are the same class, rename one of them'
            for names in plain.values()
            if len(names) > 1
        ]
        if unused := [name for name in listed if name not in used]:
            self.notes.append(f'no boxes of {few(map(repr, unused))}')
        return tuple(listed)

    def _class_list(self, used: Container[str]) -> tuple[list[str] | None, str]:
        folders = dict.fromkeys((self.root, *(image.source.parent for image in self.images[:1])))
        for path in (folder / name for folder in folders for name in CLASS_LISTS):
            if path.is_file():
                names = [name for name in _listed(path) if name.lower() not in NO_CLASSES or name in used]
                if len(set(names)) < len(names):
                    raise UserError(f'{path} has a duplicate name. Rename one of the two classes.')
                return names, path.name
        return None, ''

    def _note_strays(self) -> None:
        """Note the files with the same suffix that are not label files."""
        for suffix in sorted({path.suffix.lower() for path in self.files}):
            strays = [
                path
                for path in label_files(self.root, suffix)
                if path not in self.files and path.name not in CLASS_LISTS and format_of(path) != self.format
            ]
            stems = {path.stem for path in files_below(self.root)} if strays else set()
            for path in strays:
                try:
                    _READERS[suffix](path)
                except LabelFileError as error:
                    if path.stem in stems:  # the corrupt label file of an image
                        self.fault('label_file', str(error), path)
            named = [str(path.relative_to(self.root)) for path in strays if path.stem not in stems]
            if named:
                self.notes.append(f'skipped, because not in the format {self.format}: {few(named)}')

    def _note_unlabeled(self, index: _Index, parts: dict[str, dict[Path, list[Image]]]) -> None:
        """Add a fault for each image without a label file in the folders of labeled images."""
        labeled = {path for images in parts.values() for path in images}
        folders = {path.parent for path in labeled}
        for path in sorted(index.files - labeled) if not self.lists else ():
            if path.parent in folders and path.stem not in self.known:
                self.fault('image_without_label', str(path), path)

    def _split(
        self, split: str, images: dict[Path, list[Image]], classes: Sequence[str]
    ) -> tuple[Split, list[tuple[str, str]]]:
        paths = sorted(images)
        folder = Path(os.path.commonpath([path.parent for path in paths]))
        faults: list[tuple[str, str]] = []
        labels = {name: number for number, name in enumerate(classes, start=1)}
        entries: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        checks = _Coordinates(faults)
        for number, (path, check) in enumerate(zip(paths, check_image_files(paths)), start=1):
            if check.size is None:
                faults.append((str(check.kind), str(check.fault)))
                continue
            stated = next((size for one in images[path] if (size := _stated_size(one.size))), check.size)
            entries.append(dict(id=number, file_name=os.path.relpath(path, folder), width=stated[0], height=stated[1]))
            earlier: set[tuple[Any, ...]] = set()
            for image in images[path]:
                found = [
                    (label, box, one)
                    for one in image.boxes
                    if (label := _label(one, labels, faults)) and (box := checks.box(one, stated))
                ]
                for label, box, one in found:
                    if (label, *box) in earlier:
                        continue
                    annotation = dict(
                        id=len(annotations) + 1,
                        image_id=number,
                        category_id=label,
                        bbox=box,
                        area=round(box[2] * box[3], 3),
                        iscrowd=0,
                    )
                    annotations.append(annotation | dict(ignore=1) if one.ignore else annotation)
                earlier |= {(label, *box) for label, box, _ in found}
        checks.end()
        sources = {image.source for said in images.values() for image in said}
        source = sources.pop() if len(sources) == 1 else Path(os.path.commonpath([path.parent for path in sources]))
        categories = [dict(id=number, name=name) for name, number in labels.items()]
        return Split(source, folder, dict(images=entries, annotations=annotations, categories=categories)), faults


class _Index:
    """Finds the images in the folder of a data set by their names in label files. No other file is opened."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = {
            Path(os.path.normpath(path))
            for path in files_below(root)
            if not any(map(_MASKS.match, path.relative_to(root).parts[:-1]))
        }
        self.names: dict[str, list[Path]] = defaultdict(list)
        self.stems: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(self.files):
            self.names[path.name.lower()].append(path)
            self.stems[path.stem.lower()].append(path)

    def find(self, image: Image, split: str | None) -> tuple[Path | None, str, str]:
        """Find the file of an image.

        Returns:
            The file, an empty text, and a remark or an empty text; or None, a problem, and an example of it.
        """
        stem = image.source.stem
        stem = Path(stem).stem if stem.lower().endswith(IMAGE_SUFFIXES) else stem
        stated = _path_of(image.name)
        if not stated and not image.alone:
            return None, 'label_line', f'{image.where}: has no image name. Export it again, with names of images'
        # The label file of one image has its name. The name inside is often outdated, because files were renamed.
        candidates = self._by_stem(stem, image.source) if image.alone else []
        if image.alone and stated and len(candidates) != 1:
            named = self._by_path(stated, image.source)
            candidates = named or candidates
        elif not image.alone:
            candidates = self._by_path(stated, image.source) or self._without_hash(stated, image.source)
        remark = ''
        if not candidates and stated:
            candidates = list(self.stems.get(Path(stated).stem.lower(), ()))
            if len(candidates) == 1:
                remark = f'{image.where} names {shown(image.name)}, {candidates[0]} is used'
        if len(candidates) > 1 and split:
            candidates = [
                path for path in candidates if split in map(split_named, path.relative_to(self.root).parts[:-1])
            ] or candidates
        if len(candidates) > 1:
            return (
                None,
                'image_ambiguous',
                (
                    f'{image.where}: {shown(image.name or stem)} matches '
                    f'{few(map(str, candidates), 2)}. Give each image a unique name'
                ),
            )
        if candidates:
            outside = stated and leaves_folder(stated) and not self._inside(stated, image.source)
            if not remark and outside and not image.alone:
                remark = f'{image.where} names {shown(image.name)}, {candidates[0]} is used'
            return candidates[0], '', remark
        if stated and leaves_folder(stated) and not image.alone:
            return (
                None,
                'leaves_folder',
                (f'{image.where}: {shown(image.name)}, but no image of this name is in {self.root}. Put it there'),
            )
        if image.alone:
            return None, 'label_without_image', f'{image.source}: no image of this name'
        return None, 'image_missing', f'{image.where}: {shown(image.name)} is not in {self.root}. Put it there'

    def _inside(self, stated: str, source: Path) -> bool:
        return Path(os.path.normpath(source.parent / stated)) in self.files

    def _by_stem(self, stem: str, source: Path) -> list[Path]:
        found = [path for path in self.stems.get(stem.lower(), ()) if path.stem == stem] or list(
            self.stems.get(stem.lower(), ())
        )
        return self._nearest(found, source)

    def _by_path(self, stated: str, source: Path) -> list[Path]:
        for folder in (source.parent, self.root, self.root / 'images'):
            if (path := Path(os.path.normpath(folder / stated))) in self.files:
                return [path]
        parts = [part.lower() for part in stated.split('/') if part not in ('', '.', '..')]
        found = self.names.get(parts[-1], []) if parts else []

        # Prefer the files with the longest matching end of the path.
        def common(path: Path) -> int:
            own = [part.lower() for part in path.parts]
            return next((count for count in range(1, len(parts) + 1) if own[-count:] != parts[-count:]), len(parts) + 1)

        best = max(map(common, found), default=0)
        found = [path for path in found if common(path) == best]
        exact = [path for path in found if path.name == stated.rpartition('/')[2]]
        return self._nearest(exact or found, source)

    def _without_hash(self, stated: str, source: Path) -> list[Path]:
        """Find an image without the eight digits that Label Studio adds to the names of uploaded files."""
        path = Path(stated)
        plain = re.sub(r'^[0-9a-f]{8}-', '', path.name)
        return self._by_path(plain, source) if plain and plain != path.name else []

    @staticmethod
    def _nearest(found: list[Path], source: Path) -> list[Path]:
        """Of several files, those next to the label file, or next to its folder."""
        for folder in (source.parent, source.parent.parent):
            near = [
                path
                for path in found
                if path.parent == folder or (folder != source.parent and path.parent.parent == folder)
            ]
            if len(found) > 1 and near:
                return near
        return found


def _path_of(name: Any) -> str:
    """The path in an image's name or URL, with slashes."""
    if not isinstance(name, str) or '\0' in name:
        return ''
    name = name.strip()
    if re.match(r'[a-z][a-z0-9+.-]+://', name, re.IGNORECASE) or name.startswith('/data/'):
        parts = urlsplit(name)
        local = parse_qs(parts.query).get('d')  # Label Studio's local files
        return local[0] if local else unquote(parts.path).lstrip('/')
    return name.replace('\\', '/')


class _Coordinates:
    """Checks the boxes of a split, one by one and all together."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        self.faults = faults
        self.count = self.swapped = self.far = 0
        self.fit_as_sides = True
        self.first: dict[str, str] = {}

    def box(self, one: Box, size: tuple[int, int]) -> list[float] | None:
        """x, y, width, height in pixels, clipped to an image of this size. Reports an invalid box and returns None."""
        corners = one.corners(*size) if callable(one.corners) else one.corners
        numbers = [number for value in corners if (number := _number(value)) is not None]
        if len(numbers) < len(corners):
            wrong = next(value for value in corners if _number(value) is None)
            self.faults.append(('label_line', f'{one.where}: a coordinate is {shown(wrong)}, expected a number'))
            return None
        x1, y1, x2, y2 = numbers
        self.count += 1
        if not callable(one.corners) and max(numbers) <= 1 < min(size) and any(value % 1 for value in numbers):
            self.faults.append(
                (
                    'box_fractions',
                    f'{one.where}: {_said(numbers)}. Multiply x by the width of the image, y by its height',
                )
            )
            return None
        self.fit_as_sides &= x1 + x2 <= size[0] + _OUTSIDE and y1 + y2 <= size[1] + _OUTSIDE
        if x1 > x2 or y1 > y2:
            self.swapped += 1
            self.first.setdefault('swapped', one.where)
            self.faults.append(('box_swapped', f'{one.where}: {_said(numbers)}'))
            x1, y1, x2, y2 = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
        said = f'{one.where}: {_said(numbers)} in {size[0]} x {size[1]}'
        outside = [max(-x1, x2 - size[0]) / size[0], max(-y1, y2 - size[1]) / size[1]]
        if max(outside) > _FAR_OUTSIDE:
            self.far += 1
            self.first.setdefault('far', said)
        if x1 >= x2 or y1 >= y2:
            self.faults.append(('box_flat', f'{one.where}: {_said(numbers)}'))
            return None
        if x1 >= size[0] or y1 >= size[1] or x2 <= 0 or y2 <= 0:
            self.faults.append(('box_beside', said))
            return None
        if min(x1, y1) < -_OUTSIDE or x2 > size[0] + _OUTSIDE or y2 > size[1] + _OUTSIDE:
            self.faults.append(('box_cut', said))
        x1, x2 = (min(max(value, 0.0), size[0]) for value in (x1, x2))
        y1, y2 = (min(max(value, 0.0), size[1]) for value in (y1, y2))
        return [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)]

    def end(self) -> None:
        """Add faults that many boxes have."""
        if 4 * self.swapped > self.count and self.count > 2 and self.fit_as_sides:
            self.faults.append(
                (
                    'box_sides',
                    f'{self.swapped} of {self.count} have the second corner above or left of '
                    f'the first, the first is {self.first["swapped"]}',
                )
            )
        if 2 * self.far > self.count:
            self.faults.append(('box_scale', f'{self.far} of {self.count}, the first is {self.first["far"]}'))


def _label(box: Box, labels: dict[str, int], faults: list[tuple[str, str]]) -> int | None:
    name = _name(box.name)
    if name is None:
        faults.append(('label_line', f'{box.where}: a box has no class. Name one, or remove the box'))
    elif name not in labels:
        near = next((one for one in labels if one.casefold() == name.casefold()), None)
        faults.append(
            (
                'class_unknown',
                f'{box.where}: {shown(name)}' + (f', expected {shown(near)}' if near else f', expected {few(labels)}'),
            )
        )
    return labels.get(name) if name is not None else None


def _name(name: Any) -> str | None:
    """The name of a class with normalized white space. Numbers are valid names, too."""
    if isinstance(name, (str, int)) and not isinstance(name, bool):
        return ' '.join(str(name).split()) or None
    return None


def _number(value: Any) -> float | None:
    """A finite number, which can also be text; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or (isinstance(value, str) and '_' in value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def float_of(value: Any) -> float:
    """A number, which can also be text; NaN for any other value."""
    number = _number(value)
    return math.nan if number is None else number


def _stated_size(size: tuple[Any, Any]) -> tuple[int, int] | None:
    """The stated width and height; None if they are missing or invalid. Some tools write 0."""
    width, height = map(_number, size)
    return (int(width), int(height)) if width is not None and height is not None and min(width, height) >= 1 else None


def _said(numbers: Sequence[float]) -> str:
    return f'({", ".join(f"{number:g}" for number in numbers)})'


def _listed(path: Path) -> list[str]:
    """The names in a class list: one per line, CVAT's ``name:color:parts:actions``, or TensorFlow's ``.pbtxt``."""
    text = decoded(path.read_bytes())
    if path.suffix == '.pbtxt':
        items = [
            (re.search(r'\bid\s*:\s*(\d+)', item), re.search(r'\bname\s*:\s*(["\'])(.*?)\1', item))
            for item in re.findall(r'item\s*\{(.*?)\}', text, re.DOTALL)
        ]
        return [
            name[2]
            for _, name in sorted(
                ((int(number[1]), name) for number, name in items if number and name), key=lambda item: item[0]
            )
        ]
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith('# ')]
    if path.suffix == '.csv':
        rows = [line.rsplit(',', 1) for line in lines]
        return [
            row[0]
            for row in sorted(
                (row for row in rows if len(row) == 2 and row[1].strip().isdigit()), key=lambda row: int(row[1])
            )
        ]
    if path.name == 'labelmap.txt':
        lines = [line.split(':')[0] for line in lines]
    return [' '.join(line.split()) for line in lines]


def corners_of_points(points: Any) -> Corners:
    """The box around points, a list of ``(x, y)``; NaN for any other value."""
    pairs = points if isinstance(points, (list, tuple)) else []
    if not pairs or not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        return (math.nan,) * 4
    xs, ys = ([float_of(pair[axis]) for pair in pairs] for axis in (0, 1))
    if any(map(math.isnan, (*xs, *ys))):
        return (math.nan,) * 4
    return min(xs), min(ys), max(xs), max(ys)
