"""Data sets in YOLO's format, as Ultralytics describes it and Roboflow, CVAT and Label Studio export it.

A ``.yaml`` has ``names`` (a list, or a mapping from numbers) and for ``train``, ``val`` and ``test`` a folder of
images, a ``.txt`` that lists them, or several of these. The labels of ``.../images/a.jpg`` stand in
``.../labels/a.txt``, a line an object: the class's number, then the box as x and y of its centre, width and height, in
fractions of the image. A longer line is a polygon, whose box is taken.

CVAT's "YOLO 1.1" is Darknet's form: ``obj.data`` in place of the ``.yaml``, with lines ``key = value`` of which
``names`` is a file with a name a line, and the labels beside the images.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..datasets.problems import shown
from ..errors import UserError
from ..image_files import IMAGE_SUFFIXES, is_clutter, look_at_all
from .description import SPLITS, OwnData, Split

__all__ = ['DESCRIPTIONS', 'find_description', 'is_description', 'read_yolo']

#: What a file that describes a data set ends in.
DESCRIPTIONS = ('.yaml', '.yml', '.data')

# Coordinates are rounded to some digits, so a box may leave the image by a little.
_ROUNDING = 0.01
_KEYS = {'train': ('train', ), 'val': ('val', 'valid', 'validation'), 'test': ('test', )}
_CLASS_LISTS = ('classes.txt', 'obj.names')
_EXAMPLE = 'names: [cat, dog]; train: images/train; val: images/val'
# In front of paths that start in the data set's folder: Roboflow's and CVAT's.
_NO_FOLDERS = ('../', 'data/')


def find_description(root: Path) -> Path | None:
    """The ``.yaml`` or ``.data`` of a data set in YOLO's format, or its list of classes; None where there is neither.

    Raises:
        UserError: If there are several, or images and labels without any.
    """
    found = [path for path in sorted(root.iterdir()) if is_description(path)]
    if named := [path for path in found if path.stem in ('data', 'dataset')]:
        found = named
    if len(found) > 1:
        raise UserError(f'--data {root}: {len(found)} files could describe the data: '
                        f'{", ".join(path.name for path in found)}. Name the one to take: --data {found[0]}')
    found += [root / name for name in _CLASS_LISTS if (root / name).is_file() and (root / 'labels').is_dir()]
    if not found and (root / 'images').is_dir() and (root / 'labels').is_dir():
        above = root.absolute().parent
        if any(map(is_description, above.iterdir())):
            raise UserError(f'--data {root} is a part of a data set, without the names of the classes. Name the whole: '
                            f'--data {above}')
        places = '; '.join(f'{split}: {place}' for split, place in _places(root).items())
        raise UserError(f'--data {root}: images/ and labels/ are there, but no .yaml that names the classes. Write '
                        f'{root / "data.yaml"} with these lines: names: [cat, dog]; {places}')
    return found[0] if found else None


def is_description(path: Path) -> bool:
    """Whether a file describes a data set in YOLO's format: it has ``names``."""
    return path.suffix in DESCRIPTIONS and not is_clutter(Path(path.name)) and path.is_file() and 'names' in (
        _read_lines(path) if path.suffix == '.data' else _read_yaml(path))


def _places(root: Path) -> dict[str, str]:
    """Where the images of each split are if nothing says so."""
    places = {name: f'images/{name}' for names in _KEYS.values() for name in names
              if (root / 'images' / name).is_dir()}
    return {'train': 'images'} | places


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UserError(f'{path} cannot be read as YAML: {" ".join(str(error).split())[:200]}') from None
    return content if isinstance(content, dict) else {}


def _read_lines(path: Path) -> dict[str, str]:
    """Darknet's lines ``key = value``."""
    pairs = (line.partition('=') for line in path.read_text(encoding='utf-8-sig', errors='replace').splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs if value.strip()}


def read_yolo(root: Path, description: Path) -> OwnData:
    """Read a data set in YOLO's format.

    Args:
        root: Its folder.
        description: The ``.yaml`` or ``.data``, or a list of classes beside ``images/`` and ``labels/``.

    Raises:
        UserError: If the description is invalid, or a split has no images or no labels.
    """
    if description.suffix in ('.yaml', '.yml'):
        content = _read_yaml(description)
        classes = _names(description, content)
    elif description.suffix == '.data':
        content = _read_lines(description)
        classes = _darknet_names(description, content)
    else:
        content = _places(root)
        classes = _class_list(description)
    data = OwnData('YOLO', root, classes, {})
    for split in SPLITS:
        places = next((content[key] for key in _KEYS[split] if content.get(key)), None)
        if places is None:
            continue
        # Roboflow names a split that it did not export.
        if split != 'train' and not any(_resolved(description, content, place) for place in _listed(places)):
            data.notes.append(f'{description.name} names a split {split} that is not there: {shown(places)}')
            continue
        images = _images(description, content, split, places)
        data.splits[split], data.faults[split] = _read_split(images, split, data, content, description)
        if not data.splits[split].images.absolute().is_relative_to(root.absolute()):
            data.notes.append(f'{split}: the images lie elsewhere, in {data.splits[split].images}')
    if 'train' not in data.splits:
        raise UserError(f'{description} names no images to train on. Expected for instance {_EXAMPLE}')
    return data


def _names(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    names = content.get('names')
    if isinstance(names, dict):
        numbered = {str(number): name for number, name in names.items()}
        if set(numbered) != set(map(str, range(len(names)))):
            raise UserError(f'{path}: names must be numbered 0 to {len(names) - 1} without a gap, got '
                            f'{shown(", ".join(numbered))}.')
        names = [numbered[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, (str, int, float)) for name in names):
        raise UserError(f'{path}: names is {shown(names)}. Expected the class names, such as names: [cat, dog]')
    if 'nc' in content and content['nc'] != len(names):
        raise UserError(f'{path}: nc is {shown(content["nc"])}, and there are {len(names)} names. Correct one of them.')
    if len(set(map(str, names))) < len(names):
        raise UserError(f'{path}: names holds one name twice. Rename one of the two classes.')
    return tuple(map(str, names))


def _darknet_names(path: Path, content: dict[str, str]) -> tuple[str, ...]:
    names = _resolved(path, content, content.get('names', ''))
    if names is None or not names.is_file():
        raise UserError(f'{path} says names = {content.get("names", "")}, and there is no such file. Expected one with '
                        f'the name of a class a line.')
    classes = _class_list(names)
    if content.get('classes', str(len(classes))) != str(len(classes)):
        raise UserError(f'{path} says classes = {content["classes"]}, and {names} has {len(classes)} names. Correct '
                        f'one of them.')
    return classes


def _class_list(path: Path) -> tuple[str, ...]:
    lines = path.read_text(encoding='utf-8-sig', errors='replace').splitlines()
    if not (names := tuple(line.strip() for line in lines if line.strip())):
        raise UserError(f'{path} is empty. Expected the name of a class a line.')
    if len(set(names)) < len(names):
        raise UserError(f'{path} holds one name twice. Rename one of the two classes.')
    return names


def _listed(places: Any) -> list[str]:
    return [str(place) for place in (places if isinstance(places, list) else [places])]


def _images(description: Path, content: dict[str, Any], split: str, places: Any) -> list[Path]:
    found: dict[Path, None] = {}
    for place in _listed(places):
        path = _resolved(description, content, place)
        if path is None:
            raise UserError(f'{description} says {split}: {place}, and there is no such folder or list in '
                            f'{" or ".join(map(str, _bases(description, content)))}. Correct the path in it.')
        if path.is_dir():
            found.update(dict.fromkeys(file for file in sorted(path.rglob('*')) if file.suffix.lower() in IMAGE_SUFFIXES
                                       and not is_clutter(file.relative_to(path))))
        else:
            lines = path.read_text(encoding='utf-8-sig', errors='replace').splitlines()
            listed = {line.strip(): _resolved(description, content, line.strip()) for line in lines if line.strip()}
            if listed and not any(listed.values()):
                raise UserError(f'{path} lists {len(listed)} images and none of them is there: the first is '
                                f'{shown(next(iter(listed)))}. Put them there, as seen from {description.parent}, or '
                                f'export the data set again, with its images.')
            found.update(dict.fromkeys(image or path.parent / line for line, image in listed.items()))
    if not found:
        raise UserError(f'{description} says {split}: {shown(places)}, and there is no image. Looked for '
                        f'{", ".join(IMAGE_SUFFIXES)}.')
    return list(found)


def _bases(description: Path, content: dict[str, Any]) -> list[Path]:
    inner = content.get('path')
    base = description.parent
    # The folder that was named goes first: a copied data set still has the path of the original in it.
    return list(dict.fromkeys([base, base / inner] if isinstance(inner, str) else [base]))


def _resolved(description: Path, content: dict[str, Any], place: str) -> Path | None:
    for base in _bases(description, content):
        below = [place.replace('\\', '/').removeprefix(prefix) for prefix in ('', *_NO_FOLDERS)]
        for relative in dict.fromkeys((place, *below)):
            if (base / relative).exists():
                return Path(os.path.normpath(base / relative))
    return None


def _label_file(image: Path) -> Path:
    """The last ``images`` in the path becomes ``labels``; otherwise the labels lie beside the images."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == 'images':
            parts[place] = 'labels'
            break
    apart, beside = Path(*parts).with_suffix('.txt'), image.with_suffix('.txt')
    return beside if beside.is_file() and not apart.is_file() else apart


def _read_split(images: list[Path], split: str, data: OwnData, content: dict[str, Any],
                description: Path) -> tuple[Split, list[tuple[str, str]]]:
    folder = Path(os.path.commonpath([path.parent for path in images]))
    labels = [_label_file(image) for image in images]
    if not any(path.is_file() for path in labels):
        raise UserError(f'None of the {len(images)} images of {split} has labels: {images[0]} should have them in '
                        f'{labels[0]}. Put the label files there, one .txt an image.')
    faults: list[tuple[str, str]] = []
    entries, annotations, clipped = [], [], 0
    for number, (image, label_file, look) in enumerate(zip(images, labels, look_at_all(images)), start=1):
        if look.size is None:
            faults.append((look.kind, look.fault))
            continue
        width, height = look.size
        entries.append(dict(id=number, file_name=os.path.relpath(image, folder), width=width, height=height))
        for x1, y1, x2, y2, label, outside in _boxes(label_file, len(data.classes), 'kpt_shape' in content, faults):
            clipped += outside
            box = [round(x1 * width, 3), round(y1 * height, 3), round((x2 - x1) * width, 3),
                   round((y2 - y1) * height, 3)]
            annotations.append(dict(id=len(annotations) + 1, image_id=number, category_id=label + 1, bbox=box,
                                    area=round(box[2] * box[3], 3), iscrowd=0))
    faults += [('label_without_image', f'{path}: there is no image of this name')
               for path in _orphans(labels)]
    if clipped:
        data.notes.append(f'{split}: {clipped} boxes reached outside their image and were cut off there')
    categories = [dict(id=number, name=name) for number, name in enumerate(data.classes, start=1)]
    return Split(description, folder, dict(images=entries, annotations=annotations, categories=categories)), faults


def _orphans(labels: list[Path]) -> list[Path]:
    """Label files in the folders of these that belong to none of the images."""
    known = set(labels)
    found = [path for folder in sorted({path.parent for path in labels}) for path in sorted(folder.glob('*.txt'))
             if path not in known and path.name not in _CLASS_LISTS and not is_clutter(Path(path.name))]
    # Where labels lie beside the images, a text may be about something else.
    return [path for path in found if 'labels' in path.parts]


def _boxes(path: Path, num_classes: int, keypoints: bool,
           faults: list[tuple[str, str]]) -> Iterator[tuple[float, float, float, float, int, bool]]:
    """x1, y1, x2, y2 in fractions, label, and whether the box had to be cut off; wrong lines go to ``faults``."""
    try:
        lines = path.read_text(encoding='utf-8-sig').splitlines()
    except FileNotFoundError:  # an image of background
        return
    except (OSError, ValueError) as error:
        faults.append(('label_line', f'{path}: {error}'))
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _box(line.split(), num_classes, keypoints)
        except ValueError as error:
            faults.append(('label_line', f'{path}:{number}: {error}'))


def _box(fields: list[str], num_classes: int, keypoints: bool) -> tuple[float, float, float, float, int, bool]:
    try:
        label, *numbers = map(float, fields)
    except ValueError:
        raise ValueError(f'{shown(" ".join(fields))} holds something that is no number') from None
    if not all(map(math.isfinite, (label, *numbers))):
        raise ValueError(f'{shown(" ".join(fields))} holds NaN or infinity')
    if label != int(label) or not 0 <= label < num_classes:
        raise ValueError(f'class {label:g}, expected 0 to {num_classes - 1}: names has {num_classes} classes')
    numbers = numbers[:4] if keypoints else numbers
    polygon = len(numbers) >= 6 and len(numbers) % 2 == 0
    if len(numbers) != 4 and not polygon:
        raise ValueError(f'{len(fields)} fields, expected 5: class, x, y, width, height (or class and a polygon)')
    if not all(-_ROUNDING <= number <= 1 + _ROUNDING for number in numbers):
        worst = max(numbers, key=lambda number: abs(number - 0.5))
        raise ValueError(f'{worst:g} is not in [0, 1]. Divide x and width by its width, y and height by its '
                         f'height')
    if polygon:
        x1, y1, x2, y2 = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    else:
        x, y, w, h = numbers
        x1, y1, x2, y2 = x - w / 2, y - h / 2, x + w / 2, y + h / 2
    outside = min(x1, y1) < -_ROUNDING or max(x2, y2) > 1 + _ROUNDING
    x1, y1, x2, y2 = (min(max(side, 0.0), 1.0) for side in (x1, y1, x2, y2))
    if x1 >= x2 or y1 >= y2:
        raise ValueError('the box has no area')
    return x1, y1, x2, y2, int(label), outside
