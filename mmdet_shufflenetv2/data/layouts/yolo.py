"""YOLO's format, as Ultralytics describes it and Roboflow, CVAT and Label Studio export it.

A ``.yaml`` has ``names``, a list or a mapping from class ids. Its entries ``train``, ``val`` and ``test`` are a folder
of images, a ``.txt`` that lists images, or several of these. The labels of ``.../images/a.jpg`` are in
``.../labels/a.txt`` with one object per line: the class id, then the box as x and y of its center, width and height, as
fractions of the image. A longer line is a polygon, or the four corners of a rotated box (Ultralytics' OBB). Its
enclosing box is used.

CVAT's "YOLO 1.1" is Darknet's format: ``obj.data`` instead of the ``.yaml``, with lines ``key = value``. Its ``names``
is a file with one class name per line. The labels are next to the images.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ...utils.errors import UserError
from ...utils.images import IMAGE_SUFFIXES, check_image_files, files_below, is_clutter
from ..problems import shown
from .description import SPLITS, Format, Split, UserDataset
from .dota import dota_folders
from .label_files import format_of

__all__ = ['DESCRIPTIONS', 'YOLO', 'find_description', 'is_description', 'label_file', 'read_yolo', 'unreadable_yaml']

#: Suffixes of files that describe a data set.
DESCRIPTIONS = ('.yaml', '.yml', '.data')

# Coordinates are rounded, so a box may end slightly outside the image.
_ROUNDING = 0.01
# Corners of rotated boxes can be further outside. Pixels instead of fractions are larger than this.
_CORNERS = 0.5
_KEYS = {'train': ('train',), 'val': ('val', 'valid', 'validation'), 'test': ('test',)}
_ALL_KEYS = tuple(key for keys in _KEYS.values() for key in keys)
_CLASS_LISTS = ('classes.txt', 'obj.names')
_EXAMPLE = 'names: [cat, dog]; train: images/train; val: images/val'
# Prefixes that Roboflow and CVAT add to paths relative to the folder of the data set.
_NO_FOLDERS = ('../', 'data/')


def find_description(root: Path) -> Path | None:
    """The ``.yaml`` or ``.data`` file of a data set in YOLO's format, or its list of classes; None if there is neither.

    Raises:
        UserError: If there are several, or images and labels without a description.
    """
    if dota_folders(root) and not any((folder / 'labels').is_dir() for folder in (root, *root.iterdir())):
        return None  # exports in DOTA's format can have a .yaml, too
    found = [path for path in sorted(root.iterdir()) if is_description(path)]
    # If there are several, prefer those with the usual name, or with paths of images.
    for better in ([path for path in found if path.stem in ('data', 'dataset')], list(filter(_names_images, found))):
        found = better or found
    if len(found) > 1:
        raise UserError(
            f'data={root}: {len(found)} files could describe the data set: '
            f'{", ".join(path.name for path in found)}. Name the one to use: data={found[0]}'
        )
    found += [
        root / name
        for name in _CLASS_LISTS
        if (root / name).is_file() and (root / 'labels').is_dir() and not _other_labels(root / 'labels')
    ]
    if not found and any(
        (folder / 'images').is_dir() and (folder / 'labels').is_dir() and not _other_labels(folder / 'labels')
        for folder in (root, *map(root.joinpath, _ALL_KEYS))
    ):
        above = root.absolute().parent
        if any(map(is_description, above.iterdir())):
            raise UserError(
                f'data={root} is a part of a data set and has no class names. Name the folder of the data '
                f'set: data={above}'
            )
        folders = '; '.join(f'{split}: {folder}' for split, folder in _image_folders(root).items())
        raise UserError(
            f'data={root} has images/ and labels/, but no .yaml with the class names. Create '
            f'{root / "data.yaml"} with these lines: names: [cat, dog]; {folders}'
        )
    return found[0] if found else None


def _other_labels(folder: Path) -> bool:
    """Whether the label files of a folder have another format: there are no text files, or the first are DOTA's."""
    files = [path for path in files_below(folder, ('.txt', '.xml', '.json', '.csv')) if path.name not in _CLASS_LISTS]
    texts = [path for path in files if path.suffix.lower() == '.txt']
    return (bool(files) and not texts) or any(map(format_of, texts[:5]))


def is_description(path: Path) -> bool:
    """Whether a file describes a data set in YOLO's format, which means that it has ``names``.

    A corrupt file counts if it is named ``data`` or ``dataset``, or has the usual keys.
    """
    if path.suffix not in DESCRIPTIONS or is_clutter(Path(path.name)) or not path.is_file():
        return False
    try:
        return 'names' in _content(path)
    except OSError:
        return False
    except UserError:
        keys = set(re.findall(rb'^(\w+)[ \t]*:', path.read_bytes(), re.MULTILINE))
        return b'names' in keys and (path.stem in ('data', 'dataset') or bool(keys & {b'train', b'val', b'nc'}))


def unreadable_yaml(root: Path) -> list[Path]:
    """The ``.yaml`` files of a folder that cannot be read and are not a :func:`is_description`."""
    unreadable = []
    for path in sorted(root.glob('*.y*ml')):
        if path.suffix in DESCRIPTIONS and path.is_file() and not is_clutter(Path(path.name)):
            try:
                _content(path)
            except (OSError, UserError):
                if not is_description(path):
                    unreadable.append(path)
    return unreadable


def _names_images(path: Path) -> bool:
    try:
        return any(key in _content(path) for key in _ALL_KEYS)
    except UserError:
        return True


def _image_folders(root: Path) -> dict[str, str]:
    """Split -> the default folder of its images."""
    folders = {name: f'images/{name}' for name in _ALL_KEYS if (root / 'images' / name).is_dir()}
    folders = folders or {name: f'{name}/images' for name in _ALL_KEYS if (root / name / 'images').is_dir()}
    return folders if 'train' in folders else {'train': 'images'} | folders


class _Loader(yaml.SafeLoader):
    """Rejects duplicate keys. PyYAML would silently use the last one."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        counts = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := [key for (_, key), count in counts.items() if count > 1 and key != '<<']:
            raise yaml.YAMLError(f'duplicate key {shown(twice[0])}')
        return super().construct_mapping(node, deep)


def _content(path: Path) -> dict[str, Any]:
    """The content of a description. For Darknet's lines ``key = value``, all values are text."""
    if path.suffix == '.data':
        pairs = (line.partition('=') for line in _lines(path))
        return {key.strip(): value.strip() for key, _, value in pairs if value.strip()}
    try:
        content = yaml.load(path.read_text(encoding='utf-8-sig'), _Loader)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f'{path} cannot be read as YAML: {" ".join(str(error).split())[:200]}') from None
    return content if isinstance(content, dict) else {}


def _lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    lines = path.read_text(encoding='utf-8-sig', errors='replace').splitlines()
    return [line.strip() for line in lines if line.strip()]


def read_yolo(root: Path, description: Path) -> UserDataset:
    """Read a data set in YOLO's format.

    Args:
        root: The folder of the data set.
        description: The ``.yaml`` or ``.data`` file, or a list of classes next to ``images/`` and ``labels/``.

    Raises:
        UserError: If the description is invalid, or a split has no images or no labels.
    """
    if description.suffix in DESCRIPTIONS:
        said = _Described(description, _content(description))
        classes = (_darknet_names if description.suffix == '.data' else _names)(said)
    else:
        said, classes = _Described(description, _image_folders(root)), _class_list(description)
    data = UserDataset('YOLO', root, classes, {})
    for split in SPLITS:
        named = next((said.content[key] for key in _KEYS[split] if said.content.get(key)), None)
        if named is None:
            continue
        paths = {str(each): said.resolve(str(each)) for each in (named if isinstance(named, list) else [named])}
        # Roboflow also names splits that it did not export.
        if split != 'train' and not any(paths.values()):
            data.notes.append(f'the split {split} of {description.name} is missing: {shown(named)}')
            continue
        images = _images(said, split, paths)
        if not images:
            raise UserError(
                f'No images found for {split}: {shown(named)} in {description}. Searched for '
                f'{", ".join(IMAGE_SUFFIXES)}.'
            )
        data.splits[split], data.faults[split] = _read_split(images, split, data, said)
        data.faults[split] += _orphans(images, [path for path in paths.values() if path and path.is_dir()], data)
        if not data.splits[split].images.absolute().is_relative_to(root.absolute()):
            data.notes.append(f'{split}: the images are outside of this folder, in {data.splits[split].images}')
    if 'train' not in data.splits:
        raise UserError(f'{description} has no entry train with images. Expected, for example, {_EXAMPLE}')
    return data


class _Described:
    """The content of a description, and the paths in it."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.content = content
        inner = content.get('path')
        # The folder of the description is searched first, because a copied data set still has the original path.
        self.bases = list(dict.fromkeys([path.parent, path.parent / inner if isinstance(inner, str) else path.parent]))

    def resolve(self, name: str) -> Path | None:
        below = [name.replace('\\', '/').removeprefix(prefix) for prefix in ('', *_NO_FOLDERS)]
        candidates = (base / relative for base in self.bases for relative in (name, *below))
        return next((Path(os.path.normpath(path)) for path in candidates if path.exists()), None)


def _names(said: _Described) -> tuple[str, ...]:
    path, content = said.path, said.content
    names = content.get('names')
    if isinstance(names, dict):
        numbered = {str(number): name for number, name in names.items()}
        if set(numbered) != set(map(str, range(len(names)))):
            raise UserError(
                f'{path}: names must be numbered 0 to {len(names) - 1} without a gap, got {shown(", ".join(numbered))}.'
            )
        names = [numbered[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, (str, int, float)) for name in names):
        raise UserError(f'{path}: names is {shown(names)}. Expected the class names, such as names: [cat, dog]')
    if 'nc' in content and content['nc'] != len(names):
        raise UserError(f'{path}: nc is {shown(content["nc"])}, but there are {len(names)} names. Correct one of them.')
    if len(set(map(str, names))) < len(names):
        raise UserError(f'{path}: names has a duplicate. Rename one of the two classes.')
    return tuple(map(str, names))


def _darknet_names(said: _Described) -> tuple[str, ...]:
    path, content = said.path, said.content
    names = said.resolve(content.get('names', ''))
    if names is None or not names.is_file():
        raise UserError(
            f'{path} has names = {content.get("names", "")}, but there is no such file. Expected a file '
            f'with one class name per line.'
        )
    classes = _class_list(names)
    if content.get('classes', str(len(classes))) != str(len(classes)):
        raise UserError(
            f'{path} has classes = {content["classes"]}, but {names} has {len(classes)} names. Correct one of them.'
        )
    return classes


def _class_list(path: Path) -> tuple[str, ...]:
    if not (names := tuple(_lines(path))):
        raise UserError(f'{path} is empty. Expected one class name per line.')
    if len(set(names)) < len(names):
        raise UserError(f'{path} has a duplicate name. Rename one of the two classes.')
    return names


def _images(said: _Described, split: str, paths: dict[str, Path | None]) -> list[Path]:
    found: dict[Path, None] = {}
    for name, path in paths.items():
        if path is None:
            raise UserError(
                f'{said.path} has {split}: {name}, but there is no such folder or list in '
                f'{" or ".join(map(str, said.bases))}. Correct the path.'
            )
        if path.is_dir():
            found.update(dict.fromkeys(sorted(files_below(path))))
        else:
            listed = {line: said.resolve(line) for line in _lines(path)}
            if listed and not any(listed.values()):
                raise UserError(
                    f'{path} lists {len(listed)} images, but none of them exists: the first is '
                    f'{shown(next(iter(listed)))}. Paths are relative to {said.path.parent}. Put the '
                    f'images there, or export the data set again, with its images.'
                )
            found.update(dict.fromkeys(image or path.parent / line for line, image in listed.items()))
    return list(found)


def label_file(image: Path) -> Path:
    """The label file of an image: the last ``images`` in its path becomes ``labels``, or it is next to the image."""
    in_labels, beside = _renamed(image.parent, 'images', 'labels') / f'{image.stem}.txt', image.with_suffix('.txt')
    return beside if beside.is_file() and not in_labels.is_file() else in_labels


def _renamed(folder: Path, old: str, new: str) -> Path:
    """The path of a folder with the last part named ``old`` replaced."""
    above, found, below = f'/{folder.as_posix()}/'.rpartition(f'/{old}/')
    return Path(f'{above}/{new}/{below}'[1:]) if found else folder


def _read_split(
    images: list[Path], split: str, data: UserDataset, said: _Described
) -> tuple[Split, list[tuple[str, str]]]:
    folder = Path(os.path.commonpath([path.parent for path in images]))
    labels = [label_file(image) for image in images]
    if not any(path.is_file() for path in labels):
        raise UserError(
            f'None of the {len(images)} images of {split} has labels: expected those of {images[0]} in '
            f'{labels[0]}. Put the label files there, one .txt per image.'
        )
    faults: list[tuple[str, str]] = []
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    clipped = 0
    for number, (image, of_image, check) in enumerate(zip(images, labels, check_image_files(images)), start=1):
        if check.size is None:
            faults.append((str(check.kind), str(check.fault)))
            continue
        width, height = check.size
        entries.append(dict(id=number, file_name=os.path.relpath(image, folder), width=width, height=height))
        keypoints = 'kpt_shape' in said.content
        for x1, y1, x2, y2, label, outside in _boxes(of_image, len(data.classes), keypoints, faults):
            clipped += outside
            box = [round(side, 3) for side in (x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height)]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=label + 1,
                    bbox=box,
                    area=round(box[2] * box[3], 3),
                    iscrowd=0,
                )
            )
    if clipped:
        data.notes.append(f'{split}: {clipped} boxes reached outside their image and were clipped')
    categories = [dict(id=number, name=name) for number, name in enumerate(data.classes, start=1)]
    return Split(said.path, folder, dict(images=entries, annotations=annotations, categories=categories)), faults


def _orphans(images: list[Path], folders: list[Path], data: UserDataset) -> Iterator[tuple[str, str]]:
    """Faults of label files without an image, except those in ``data``.

    Args:
        images, folders: The images of a split, and the folders that were searched for them.
        data: The splits that were read so far.
    """
    labels = set(map(label_file, images))
    said = {example for faults in data.faults.values() for _, example in faults}
    roots = [_renamed(folder, 'images', 'labels') for folder in folders]
    found = {path for root in roots if root.is_dir() for path in files_below(root, ('.txt',))}
    found.update(path for folder in {path.parent for path in labels} for path in folder.glob('*.txt'))
    names: dict[Path, dict[str, str]] = {}
    for path in sorted(found - labels):
        if path.name in _CLASS_LISTS or is_clutter(Path(path.name)) or not _holds_labels(path):
            continue
        near: dict[str, str] = {}
        for folder in (path.parent, _renamed(path.parent, 'labels', 'images')):
            if folder not in names:
                names[folder] = {file.stem: file.name for file in sorted(folder.glob('*.*')) if file.suffix != '.txt'}
            near |= names[folder]
        # The image belongs to another split, or is not in the list of this one.
        if Path(other := near.get(path.stem, '')).suffix.lower() in IMAGE_SUFFIXES:
            continue
        example = f'{path}: no image of this name' + (f' ({other} is not a supported image)' if other else '')
        if example not in said:
            yield 'label_without_image', example


def _holds_labels(path: Path) -> bool:
    """Whether a text file contains labels: it is in a folder of labels, or its first line looks like a label."""
    with path.open(encoding='utf-8-sig', errors='replace') as file:
        return 'labels' in path.parts or bool(re.match(r'\d+(\s+[\d.eE+-]+){4,}\s*$', file.readline(1000)))


def _boxes(
    path: Path, num_classes: int, keypoints: bool, faults: list[tuple[str, str]]
) -> Iterator[tuple[float, float, float, float, int, bool]]:
    """x1, y1, x2, y2 as fractions, label, and whether the box was clipped. Invalid lines are added to ``faults``."""
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except FileNotFoundError:  # a background image
        return
    except (OSError, ValueError) as error:
        faults.append(('label_line', f'{path}: {error}'))
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = line.split()
            # A polygon has more numbers.
            if len(fields) == 6 and not keypoints and re.fullmatch(r'0?\.\d+|[01](\.0*)?|\d\.?\d*e-\d+', fields[5]):
                fields.pop()
                faults.append(('label_confidence', f'{path}:{number}: {shown(line.strip())}'))
            yield _box(fields, num_classes, keypoints)
        except _FlatError as error:
            faults.append(('box_flat', f'{path}:{number}: {error}'))
        except ValueError as error:
            faults.append(('label_line', f'{path}:{number}: {error}'))


class _FlatError(ValueError):
    """A box without area."""


def _box(fields: list[str], num_classes: int, keypoints: bool) -> tuple[float, float, float, float, int, bool]:
    try:
        label, *numbers = map(float, fields)
    except ValueError:
        raise ValueError(f'{shown(" ".join(fields))} contains text instead of a number') from None
    if not all(map(math.isfinite, (label, *numbers))):
        raise ValueError(f'{shown(" ".join(fields))} contains NaN or infinity')
    if label != int(label) or not 0 <= label < num_classes:
        raise ValueError(f'class {label:g}, expected 0 to {num_classes - 1}: names has {num_classes} classes')
    numbers = numbers[:4] if keypoints else numbers
    polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
    if len(numbers) != 4 and not polygon:
        raise ValueError(f'{len(fields)} fields, expected 5: class, x, y, width, height (or class and a polygon)')
    if not polygon and min(numbers[2:]) <= 0:
        raise _FlatError(f'width {numbers[2]:g}, height {numbers[3]:g}')
    allowed = _CORNERS if polygon else _ROUNDING
    if not all(-allowed <= number <= 1 + allowed for number in numbers):
        worst = max(numbers, key=lambda number: abs(number - 0.5))
        raise ValueError(
            f'{worst:g} is not in [0, 1]. Divide x and width by the image width, y and height by the image height'
        )
    if polygon:
        x1, y1, x2, y2 = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    else:
        x, y, w, h = numbers
        x1, y1, x2, y2 = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    outside = min(x1, y1) < -_ROUNDING or max(x2, y2) > 1 + _ROUNDING
    x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) for side in (x1, y1, x2, y2))
    if x1 >= x2 or y1 >= y2:
        raise _FlatError(f'{shown(" ".join(fields))} has no area in the image')
    return x1, y1, x2, y2, int(label), outside


YOLO = Format(
    'YOLO',
    'data.yaml or obj.data with names, train and val; or classes.txt; labels/*.txt, images/',
    find_description,
    read_yolo,
)
