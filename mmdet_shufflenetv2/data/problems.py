"""All problems of data sets, and a report that counts them.

A problem is fatal if training would fail, or would learn something else than the annotations mean. A warning is about
entries that MMDetection silently drops, such as a box without area.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..utils.errors import UserError

__all__ = ['FATAL', 'LEFT_OUT', 'WARNINGS', 'Report', 'few', 'shown']

FATAL = {
    'entry': 'an entry is not a JSON object',
    'field_missing': 'a field is missing',
    'field_type': 'a field has the wrong type',
    'label_line': 'a line of a label file is invalid',
    'label_file': 'a label file cannot be read',
    'class_unknown': 'a box has a class that is not listed',
    'box_fractions': 'box coordinates are fractions of the image, expected pixels',
    'box_sides': 'boxes look like x, y, width, height, expected x1, y1, x2, y2',
    'box_scale': 'most boxes reach far outside their images: wrong image size or coordinate format',
    'image_ambiguous': 'several images match the name in a label file',
    'no_images': 'there are no images',
    'no_annotations': 'there are no annotations',
    'duplicate_image_id': 'duplicate image id',
    'duplicate_annotation_id': 'duplicate annotation id',
    'duplicate_category_id': 'duplicate category id',
    'duplicate_category_name': 'duplicate category name',
    'unknown_image': 'an annotation refers to an image that is not listed',
    'unknown_category': 'an annotation refers to a category that is not listed',
    'box_length': 'a box does not have four coordinates',
    'box_not_finite': 'a box contains NaN or infinity',
    'segmentation_nested': 'a segmentation is nested deeper than a list of polygons',
    'box_corners': 'boxes look like x1, y1, x2, y2, expected x, y, width, height',
    'leaves_folder': 'a file name points outside the image folder',
    'image_missing': 'an image is missing',
    'image_broken': 'an image is truncated or not an image',
    'image_too_large': 'an image has too many pixels to be decoded',
    'image_size': 'an image has another size than stated',
    'no_box': 'there is no box to train on',
}

#: Why MMDetection does not train on an annotation. The first two are not evaluated either.
LEFT_OUT = {
    'crowd': 'a box is marked as a crowd, iscrowd 1 (not trained or evaluated; if it is one object, set iscrowd to 0)',
    'ignored': 'a box is marked to be ignored, ignore 1 (not used for training)',
    'area': 'an annotation has no positive area (not used for training; `data` computes it from the box)',
    'box_flat': 'a box has no area, or a negative side (not used for training)',
    'box_tiny': 'a box is narrower than a pixel (not used for training)',
    'box_beside': 'a box is outside its image (not used for training)',
}

WARNINGS = LEFT_OUT | {
    'duplicate_file': 'two images have the same file',
    'box_outside': 'a box reaches outside its image',
    'box_cut': 'a box reaches outside its image (clipped)',
    'box_swapped': 'a box has swapped corners (corrected)',
    'image_twice': 'an image is listed twice (its boxes are merged, without duplicates)',
    'image_without_label': 'an image is not labeled, not even as empty (left out)',
    'shape_left_out': 'a shape is not a box, polygon, circle or ellipse (left out)',
    'label_without_image': 'a label file has no image',
    'label_confidence': 'a label line has a sixth number, such as a confidence (ignored)',
    'unused_category': 'a category has no annotations',
    'empty_image': 'an image has no annotations',
}

# Warnings without any effect on training.
_HARMLESS = ('unused_category', 'empty_image')

#: Number of examples to keep of each problem.
EXAMPLES = 5


@dataclass
class Report:
    """The problems of one annotation file, ``source``, and of ``images``, the folder of its images."""

    source: str
    images: str
    #: Number of images, annotations and categories.
    counts: dict[str, int] = field(default_factory=dict)
    #: Problem -> how often.
    found: Counter[str] = field(default_factory=Counter)
    #: Problem -> the first examples, in words.
    examples: dict[str, list[str]] = field(default_factory=dict)
    #: Number of annotations that MMDetection trains on.
    learned: int = 0
    #: Further notes for the user.
    notes: list[str] = field(default_factory=list)

    def note(self, problem: str, example: str) -> None:
        """Count a problem, one of ``FATAL`` or ``WARNINGS``."""
        self.found[problem] += 1
        if len(kept := self.examples.setdefault(problem, [])) < EXAMPLES:
            kept.append(example)

    @property
    def fatal(self) -> list[str]:
        """The problems that prevent training, in the order of ``FATAL``."""
        return [problem for problem in FATAL if problem in self.found]

    def warnings(self) -> list[str]:
        """One line per warning: how often, what, and the first example."""
        return [
            f'{self.found[problem]} x {what}: {self.examples[problem][0]}'
            for problem, what in WARNINGS.items()
            if problem in self.found and problem not in _HARMLESS
        ]

    @property
    def reasons(self) -> str:
        """Why annotations are not used, and how many for each reason."""
        return ', '.join(
            f'{self.found[reason]} x {what.split(" (")[0]}' for reason, what in LEFT_OUT.items() if reason in self.found
        )

    def refuse(self, purpose: str) -> None:
        """Raise a :class:`.UserError` that names the first fatal problem, if there is one."""
        if not self.fatal:
            return
        first, *others = self.fatal
        more = f', and {len(others)} more kinds of problems' if others else ''
        raise UserError(
            f'{self.source} cannot be used for {purpose}: {FATAL[first]} ({self.examples[first][0]}; '
            f'{self.found[first]} in total){more}.\n'
            f'To list all problems: snv2 check-data {self.source}'
        )

    def as_json(self) -> dict[str, Any]:
        """The report as a dictionary for JSON."""
        return dict(
            annotation_file=self.source,
            image_folder=self.images,
            counts=self.counts,
            learned=self.learned,
            fatal=bool(self.fatal),
            problems=[
                dict(
                    problem=problem,
                    fatal=problem in FATAL,
                    what=what,
                    count=self.found[problem],
                    examples=self.examples[problem],
                )
                for problem, what in (FATAL | WARNINGS).items()
                if problem in self.found
            ],
        )

    def __str__(self) -> str:
        learned = f' ({self.learned} used for training)' if self.learned < self.counts['annotations'] else ''
        counts = ', '.join(
            f'{number} {name}{learned if name == "annotations" else ""}' for name, number in self.counts.items()
        )
        lines = [f'{self.source}: {counts}', *(f'  note: {note}' for note in self.notes)]
        for problem in self.as_json()['problems']:
            lines.append(f'  {"FATAL  " if problem["fatal"] else "warning"} {problem["count"]:>6}  {problem["what"]}')
            lines += [f'{"":>19}{example}' for example in problem['examples']]
            if problem['count'] > len(problem['examples']):
                lines.append(f'{"":>19}and {problem["count"] - len(problem["examples"])} more')
        return '\n'.join([*lines, '  not OK to train' if self.fatal else '  OK to train'])


def few(names: Iterable[str], most: int = 5) -> str:
    """The first names, and the number of the others."""
    names = list(names)
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')


def shown(value: Any) -> str:
    """A value of an untrusted file for a message: any value, short and on one line."""
    if isinstance(value, (dict, list)):  # can be nested very deeply
        return f'a {"JSON object" if isinstance(value, dict) else "list"} of {len(value)}'
    try:
        text = repr(value)  # escapes control characters of a terminal
    except ValueError:  # an integer with thousands of digits
        return 'a huge number'
    return text if len(text) <= 80 else f'{text[:77]}...'
