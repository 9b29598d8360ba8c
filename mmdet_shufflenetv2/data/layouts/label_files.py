"""Find label files of any tool, recognize their format, and read them in any encoding.

This uses Python's own parsers instead of `supervision` or `datumaro`: every problem is reported with its file and line,
and no other package is needed.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from ...utils.images import files_below
from ..problems import shown
from .description import split_named

__all__ = [
    'LabelFileError',
    'Node',
    'decoded',
    'find_label_files',
    'format_of',
    'label_files',
    'read_csv',
    'read_json_labels',
    'read_json_lines',
    'read_lines',
    'read_xml',
]

# Bytes read at the start and at the end of a file to recognize its format.
_HEAD = 65536
# Maximum nesting of an XML label file.
_DEPTH = 50
# Usual folders of label files, in addition to the names of splits. Their subfolders are searched, too.
_FOLDERS = {
    'annotations',
    'annotation',
    'ann',
    'anns',
    'labels',
    'label',
    'xml',
    'xmls',
    'json',
    'jsons',
    'csv',
    'via',
    'images',
    'image',
    'img',
    'imgs',
    'jpegimages',
    'data',
    'default',
    'labelme',
    'dataset',
}

# Suffix, patterns that must all be in the start or end of the file, and the format. The first match is used.
_FORMATS = [
    ('.json', [r'"shapes"\s*:\s*\[', r'"(imagePath|flags|version|points)"'], 'LabelMe'),
    ('.json', [r'"objects"\s*:\s*\[', r'"size"\s*:\s*\{', r'"(width|height)"\s*:'], 'Supervisely'),
    ('.json', [r'"(_via_settings|_via_img_metadata|file_attributes|shape_attributes)"'], 'VIA'),
    ('.json', [r'^\s*\[', r'"image"\s*:\s*"', r'"coordinates"'], 'CreateML'),
    ('.json', [r'^\s*\[', r'"(data|completions|annotations)"\s*:'], 'Label Studio'),
    ('.json', [r'^\s*\[', r'"annotator"\s*:|"annotation_id"\s*:|"original_width"\s*:'], 'Label Studio'),
    ('.json', [r'^\s*\[', r'"image_id"', r'"score"'], 'COCO results'),
    ('.xml', [r'<(\w+:)?annotations\b', r'<(image|track)\b'], 'CVAT'),
    ('.xml', [r'(?i)<(\w+:)?annotation\b'], 'Pascal VOC'),
    ('.csv', [r'region_shape_attributes'], 'VIA'),
    ('.csv', [r'(?i)^\W*ImageID\b[^\n]*\bLabelName\b'], 'Open Images'),
    ('.csv', [r'(?i)^[^\n]*\b"?(xmin|x_min|x1|bbox)\b|^[^\n,]+((,[\d.]+){4}|,,,,),'], 'CSV'),
    ('.ndjson', [r'"type"\s*:\s*"(dataset|image)"'], 'Ultralytics NDJSON'),
    ('.txt', [r'(?mi)^\s*(imagesource:|gsd:|([-+.\de]+[ ,]+){8}[^\W\d][^\s,]*([ ,]+\d)?\s*$)'], 'DOTA'),
    ('.tfrecord', [], 'TFRecord'),
]
#: Suffixes of label files.
SUFFIXES = tuple({suffix for suffix, _, _ in _FORMATS})


class LabelFileError(ValueError):
    """A label file that cannot be read, with its path and line."""


@dataclass
class Node:
    """An element of an XML file. Its tag and attribute names are in lower case, without namespaces."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ''
    children: list[Node] = field(default_factory=list)

    def all(self, *tags: str) -> list[Node]:
        """The children with these tags."""
        return [child for child in self.children if child.tag in tags]

    def first(self, tag: str) -> Node | None:
        """The first child with this tag."""
        return next(iter(self.all(tag)), None)

    def value(self, tag: str) -> str | None:
        """The text of the first child with this tag; None if it is missing or empty."""
        child = self.first(tag)
        return (child.text.strip() or None) if child else None


def decoded(data: bytes, stated: str | None = None) -> str:
    """Decode text in UTF-8 or UTF-16 (with or without a byte order mark), the stated encoding, or Windows-1252."""
    for mark, encoding in (
        (codecs.BOM_UTF8, 'utf-8-sig'),
        (codecs.BOM_UTF16_LE, 'utf-16'),
        (codecs.BOM_UTF16_BE, 'utf-16'),
    ):
        if data.startswith(mark):
            return data.decode(encoding, 'replace')
    if data[:4].count(0) >= 2 and data[:2] != b'\0\0':
        return data.decode('utf-16-be' if data[:1] == b'\0' else 'utf-16-le', 'replace')
    for encoding in filter(None, (stated, 'utf-8', 'cp1252')):
        try:
            return data.decode(encoding)
        except (LookupError, ValueError):
            continue
    return data.decode('latin-1')


def format_of(path: Path) -> str | None:
    """The annotation format of a file, by its content; None if it is not recognized."""
    of_suffix = [entry for entry in _FORMATS if entry[0] == path.suffix.lower()]
    if not of_suffix or not path.is_file():
        return None
    with path.open('rb') as file:
        head = file.read(_HEAD)
        size = file.seek(0, os.SEEK_END)
        # LabelMe may store the image before everything else.
        file.seek(max(size - _HEAD, len(head)))
        tail = file.read() if size > len(head) else b''
    text = decoded(head) + tail.decode('utf-8', 'replace')
    return next((name for _, patterns, name in of_suffix if all(re.search(each, text) for each in patterns)), None)


def label_files(root: Path, suffix: str) -> Iterator[Path]:
    """The files with a suffix in the folder of a data set, and in its subfolders that are usual for labels.

    Other subfolders can be other data sets.
    """
    folders = [
        path
        for path in sorted(root.iterdir())
        if path.is_dir() and not path.name.startswith('.') and (path.name.lower() in _FOLDERS or split_named(path.name))
    ]
    yield from (
        path
        for path in sorted(root.glob('*.*'))
        if path.suffix.lower() == suffix and not path.name.startswith('.') and path.is_file()
    )
    seen = set()
    for path in (path for folder in folders for path in sorted(files_below(folder, (suffix,)))):
        if path not in seen:
            seen.add(path)
            yield path


def find_label_files(root: Path, suffix: str, name: str) -> list[Path]:
    """The files of a format in the folder of a data set; empty if there are none."""
    return [path for path in label_files(root, suffix) if format_of(path) == name]


def read_xml(path: Path) -> Node:
    """Parse an XML file. Entities are not expanded; a file that declares entities is rejected.

    Raises:
        LabelFileError: If it cannot be read.
    """
    data = _content(path)
    stated = re.match(rb'\s*<\?xml[^>]*?encoding\s*=\s*["\']([\w.:-]+)["\']', data)
    text = decoded(data, stated[1].decode() if stated else None)
    parser = expat.ParserCreate('utf-8')
    open_nodes: list[Node] = []
    roots: list[Node] = []

    def refuse(*_: Any) -> int:
        raise LabelFileError(
            f'{path}:{parser.CurrentLineNumber}: declares XML entities, which are not allowed in '
            f'label files because they can fill the memory. Remove them'
        )

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_nodes) >= _DEPTH:
            raise LabelFileError(f'{path}:{parser.CurrentLineNumber}: is nested more than {_DEPTH} levels deep')
        node = Node(_local(tag), {_local(key): value for key, value in attributes.items()}, parser.CurrentLineNumber)
        (open_nodes[-1].children if open_nodes else roots).append(node)
        open_nodes.append(node)

    def characters(text: str) -> None:
        open_nodes[-1].text += text

    parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler, parser.CharacterDataHandler = start, characters
    parser.EndElementHandler = lambda _: open_nodes.pop()
    parser.buffer_text = True
    try:
        parser.Parse(text.lstrip().encode('utf-8', 'replace'), True)
    except expat.ExpatError as error:
        raise LabelFileError(
            f'{path}:{error.lineno}: is not valid XML ({expat.ErrorString(error.code)}). Export it again'
        ) from None
    return roots[0]


def _local(name: str) -> str:
    return name.rpartition(':')[2].lower()


def read_json_labels(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        LabelFileError: If it cannot be read.
    """
    try:
        return json.loads(decoded(_content(path)))
    except json.JSONDecodeError as error:
        raise LabelFileError(f'{path}:{error.lineno}: is not valid JSON ({error.msg}). Export it again') from None
    except (ValueError, RecursionError) as error:
        raise LabelFileError(f'{path}: is not valid JSON ({shown(str(error))}). Export it again') from None


def read_json_lines(path: Path) -> list[tuple[int, Any]]:
    """The line number and JSON value of each line that is not empty. An invalid line gives a :class:`LabelFileError`.

    Raises:
        LabelFileError: If the file cannot be read.
    """
    found: list[tuple[int, Any]] = []
    for number, line in read_lines(path):
        try:
            found.append((number, json.loads(line)))
        except (ValueError, RecursionError) as error:
            found.append((number, LabelFileError(f'{path}:{number}: is not valid JSON ({shown(str(error))})')))
    return found


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The line number and text of each line that is not empty.

    Raises:
        LabelFileError: If it cannot be read.
    """
    return [
        (number, line.strip()) for number, line in enumerate(decoded(_content(path)).split('\n'), 1) if line.strip()
    ]


def read_csv(path: Path) -> list[tuple[int, list[str]]]:
    """The line number and cells of each row that is not empty. Cells are separated by commas, semicolons or tabs.

    Raises:
        LabelFileError: If it cannot be read.
    """
    text = decoded(_content(path))
    first = next(filter(str.strip, text.splitlines()), '')
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=max(',;\t', key=first.count))
    try:
        return [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise LabelFileError(f'{path}:{reader.line_num}: is not a valid CSV table ({error}). Export it again') from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LabelFileError(f'{path}: cannot be read ({error.strerror})') from None
