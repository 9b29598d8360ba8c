"""What can be wrong with a data set in COCO's format, and a report that counts it.

A problem is fatal where a training would end, or learn something else than the annotations mean. What MMDetection
leaves out without a word, such as a box without area, is a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..utils.errors import UserError

__all__ = ['FATAL', 'LEFT_OUT', 'WARNINGS', 'Report', 'few', 'shown']

FATAL = {
    'entry': 'an entry is no JSON object',
    'field_missing': 'a field is missing',
    'field_type': 'a field holds something of another kind',
    'label_line': 'a line of a label file is wrong',
    'label_file': 'a label file cannot be read',
    'class_unknown': 'a box is of a class that is not listed',
    'box_fractions': 'a box is in fractions of its image, where pixels are expected',
    'box_sides': 'the boxes look like x, y, width, height, where x1, y1, x2, y2 are expected',
    'box_scale': 'most boxes reach far outside their images: drawn on images of another size, or other coordinates',
    'image_ambiguous': 'several images have the name that a label file says',
    'no_images': 'there is no image',
    'no_annotations': 'there is no annotation',
    'duplicate_image_id': 'an image id stands twice',
    'duplicate_annotation_id': 'an annotation id stands twice',
    'duplicate_category_id': 'a category id stands twice',
    'duplicate_category_name': 'two categories have one name',
    'unknown_image': 'an annotation is of an image that is not listed',
    'unknown_category': 'an annotation is of a category that is not listed',
    'box_length': 'a box has not four coordinates',
    'box_not_finite': 'a box holds NaN or infinity',
    'segmentation_nested': 'a segmentation is nested deeper than a list of polygons',
    'box_corners': 'the boxes look like x1, y1, x2, y2, where x, y, width, height are expected',
    'leaves_folder': 'a file name leaves the image folder',
    'image_missing': 'an image is missing',
    'image_broken': 'an image is truncated or no image',
    'image_too_large': 'an image has too many pixels to be decoded',
    'image_size': 'an image is of another size than stated',
    'no_box': 'there is no box to learn from',
}

#: Why MMDetection does not learn from an annotation. Those of the first two are not evaluated on either.
LEFT_OUT = {
    'crowd': 'a box is marked as a crowd, iscrowd 1 (not learned or evaluated; if it is one object, set iscrowd to 0)',
    'ignored': 'a box is marked to be ignored, ignore 1 (left out in training)',
    'area': 'an annotation has no positive area (left out in training; `data` takes that of the box)',
    'box_flat': 'a box has no area, or a negative side (left out in training)',
    'box_tiny': 'a box is narrower than a pixel (left out in training)',
    'box_beside': 'a box lies beside its image (left out in training)',
}

WARNINGS = LEFT_OUT | {
    'duplicate_file': 'two images have one file',
    'box_outside': 'a box reaches outside its image',
    'box_cut': 'a box reaches outside its image (cut off there)',
    'box_swapped': 'a box has its corners exchanged (put in order)',
    'image_twice': 'an image is listed twice (its boxes are joined, equal ones count once)',
    'image_without_label': 'an image has no annotations, nor is it said to have none (left out)',
    'shape_left_out': 'a shape is no box, polygon, circle or ellipse (left out)',
    'label_without_image': 'a label file has no image',
    'label_confidence': 'a label line has a sixth number, such as the confidence of a prediction (left out)',
    'unused_category': 'a category has no annotation',
    'empty_image': 'an image has no annotation',
}

# These leave nothing out.
_HARMLESS = ('unused_category', 'empty_image')

#: Examples that are kept of each problem.
EXAMPLES = 5


@dataclass
class Report:
    """Everything found in one annotation file, ``source``, and in ``images``, the folder of its images."""

    source: str
    images: str
    #: How many images, annotations and categories it lists.
    counts: dict[str, int] = field(default_factory=dict)
    #: Problem -> how often.
    found: Counter[str] = field(default_factory=Counter)
    #: Problem -> the first few, in words.
    examples: dict[str, list[str]] = field(default_factory=dict)
    #: From how many annotations MMDetection learns.
    learned: int = 0
    #: What else the user should be told.
    notes: list[str] = field(default_factory=list)

    def note(self, problem: str, example: str) -> None:
        """Count a problem, one of ``FATAL`` or ``WARNINGS``."""
        self.found[problem] += 1
        if len(kept := self.examples.setdefault(problem, [])) < EXAMPLES:
            kept.append(example)

    @property
    def fatal(self) -> list[str]:
        """The problems that rule out a training, in the order of ``FATAL``."""
        return [problem for problem in FATAL if problem in self.found]

    def warnings(self) -> list[str]:
        """A line each about what is left out in training or looks wrong: how often, what, and the first of it."""
        return [f'{self.found[problem]} x {what}: {self.examples[problem][0]}' for problem, what in WARNINGS.items()
                if problem in self.found and problem not in _HARMLESS]

    @property
    def reasons(self) -> str:
        """Why annotations are left out, and how many for each reason."""
        return ', '.join(f'{self.found[reason]} x {what.split(" (")[0]}' for reason, what in LEFT_OUT.items()
                         if reason in self.found)

    def refuse(self, purpose: str) -> None:
        """Raise a :class:`.UserError` that names the first fatal problem, if there is one."""
        if not self.fatal:
            return
        first, *others = self.fatal
        more = f', and {len(others)} more kinds of problems' if others else ''
        raise UserError(f'{self.source} is not fit for {purpose}: {FATAL[first]} ({self.examples[first][0]}; '
                        f'{self.found[first]} in all){more}.\n'
                        f'See all of them: snv2 check-data {self.source}')

    def as_json(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return dict(
            annotation_file=self.source, image_folder=self.images, counts=self.counts, learned=self.learned,
            fatal=bool(self.fatal),
            problems=[dict(problem=problem, fatal=problem in FATAL, what=what, count=self.found[problem],
                           examples=self.examples[problem])
                      for problem, what in (FATAL | WARNINGS).items() if problem in self.found])

    def __str__(self) -> str:
        learned = f' ({self.learned} to learn from)' if self.learned < self.counts['annotations'] else ''
        counts = ', '.join(f'{number} {name}{learned if name == "annotations" else ""}'
                           for name, number in self.counts.items())
        lines = [f'{self.source}: {counts}', *(f'  note: {note}' for note in self.notes)]
        for problem in self.as_json()['problems']:
            lines.append(f'  {"FATAL  " if problem["fatal"] else "warning"} {problem["count"]:>6}  {problem["what"]}')
            lines += [f'{"":>19}{example}' for example in problem['examples']]
            if problem['count'] > len(problem['examples']):
                lines.append(f'{"":>19}and {problem["count"] - len(problem["examples"])} more')
        return '\n'.join([*lines, '  not fit for training' if self.fatal else '  fit for training'])


def few(names: Iterable[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')


def shown(value: Any) -> str:
    """A value of a stranger's file for a message: on one line, short, and whatever it is."""
    if isinstance(value, (dict, list)):  # which may be nested as deep as Python can parse
        return f'a {"JSON object" if isinstance(value, dict) else "list"} of {len(value)}'
    try:
        text = repr(value)  # escapes what a terminal would obey
    except ValueError:  # an integer of thousands of digits
        return 'a huge number'
    return text if len(text) <= 80 else f'{text[:77]}...'
