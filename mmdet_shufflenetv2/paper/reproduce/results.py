"""Report of the published figures, the reproduced ones and those not run, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...utils.errors import UserError
from ...utils.files import make_folder, write_atomically
from .folder import RESULT, read_json
from .rows import COCO_IMAGES_PER_SECOND, COCO_MMAP, IMAGENET, LEVELS, ROWS, Row

__all__ = ['provenance', 'report', 'table', 'write_report']

#: A row and the result of its run, None if it was not run.
Finished = tuple[Row, dict[str, Any] | None]

#: Number of images of the tables' data sets. Of COCO's 118,287 training images, 117,266 contain objects.
IMAGES = dict(imagenet=dict(train=1281167, val=50000), coco=dict(train=117266, val=5000))
IMAGES['nanodet-plus'] = IMAGES['coco']


def table(finished: Iterable[Finished]) -> str:
    """One line per figure, with columns for the published figure, the one obtained here, and what was not run."""
    lines = ['| network | figure | published | obtained here | not run |', '| --- ' * 5 + '|']
    for row, result in finished:
        values = result['values'] if result else {}
        given = ' (weights given)' if result and result['weights'] and row.table != 'coco' else ''
        for name, cell in row.cells.items():
            obtained = f'{values[name]:.1f}{given}' if name in values else ''
            missing = ('' if not given else 'training') if obtained else 'not run'
            lines.append(f'| {row.network} | {cell.quantity} | {cell.published} | {obtained} | {missing} |')
    return '\n'.join(lines)


def provenance(result: dict[str, Any]) -> str:
    """One line with the configs, weights, data and machines of a result."""
    steps = result['steps']
    where = {name: f'{step["machine"]}, PyTorch {step["torch"]}, {step["date"]}' for name, step in steps.items()}

    def elsewhere(name: str) -> str:
        return '' if where[name] == where['test'] else f' ({where[name]})'

    parts = [Path(result['config']).name]
    if 'pretrain' in steps:
        parts.append(
            f'pre-trained by {Path(result["classifier_config"]).name} on {steps["pretrain"]["images"]:,} '
            f'images{elsewhere("pretrain")}'
        )
    if result['weights']:
        parts.append(f'weights of {Path(result["weights"]).name}')
    if 'train' in steps:
        parts.append(f'trained on {steps["train"]["images"]:,} images{elsewhere("train")}')
    parts.append(f'tested on {steps["test"]["images"]:,}')
    if 'speed' in steps and elsewhere('speed'):
        parts.append(f'timed separately{elsewhere("speed")}')
    return f'{result["row"]}: {", ".join([*parts, where["test"]])}.'


def is_comparable(row: Row, result: dict[str, Any]) -> bool:
    """Whether a result was obtained with the row's own configs on the full data sets."""
    official = dict(
        pretrain=IMAGES['imagenet']['train'], train=IMAGES[row.table]['train'], test=IMAGES[row.table]['val']
    )
    steps = result.get('steps', {})
    return (
        result['config'] == row.config
        and result['classifier_config'] == row.classifier_config
        and 'test' in steps
        and all(steps[name]['images'] == count for name, count in official.items() if name in steps)
    )


def report(root: Path) -> str:
    """The Markdown page ``docs/results.md``: all tables, with the results in the output folders in ``root``."""
    results = [result for path in sorted(root.glob(f'*/{RESULT}')) if (result := read_json(path))]
    found = {row: next((r for r in results if r['row'] == row.name and is_comparable(row, r)), None) for row in ROWS}
    cells = [(row, name) for row in ROWS for name in row.cells]
    open_cells = [cell for cell in cells if (result := found[cell[0]]) is None or cell[1] not in result['values']]
    runs = [f'* {provenance(result)}' for result in found.values() if result]
    return _PAGE.format(
        never='All' if len(open_cells) == len(cells) else f'{len(open_cells)} of',
        total=len(cells),
        imagenet=table((row, found[row]) for row in ROWS if row.table == 'imagenet'),
        coco=table((row, found[row]) for row in ROWS if row.table == 'coco'),
        nanodet_plus=table((row, found[row]) for row in ROWS if row.table == 'nanodet-plus'),
        runs='\n'.join(runs) or 'None yet.',
        mmap=_peers(COCO_MMAP),
        speed=_peers(COCO_IMAGES_PER_SECOND),
        mflops=', '.join(
            f'{row.network.removeprefix("ShuffleNet V2 ")} {IMAGENET[row.width, row.kind].mflops}M'
            for row in ROWS
            if row.table == 'imagenet'
        ),
    )


def write_report(path: Path, root: Path) -> None:
    """Write the page to a file.

    Raises:
        UserError: If the path is a folder, or its folder cannot be created.
    """
    if path.is_dir():
        raise UserError(f'report={path} is a folder. Expected a file, such as {path}/results.md.')
    make_folder(path.parent, 'report')
    write_atomically(path, report(root))


def _peers(rows: Mapping[str, Sequence[float]]) -> str:
    lines = [f'| backbone | {" | ".join(LEVELS)} |', '| --- ' * (len(LEVELS) + 1) + '|']
    return '\n'.join(lines + [f'| {name} | {" | ".join(map(str, values))} |' for name, values in rows.items()])


_PAGE = """# The paper's tables, reproduced

Written by `snv2 reproduce --report docs/results.md`; not edited by hand. {never} {total} figures have never
been run here.

## ImageNet (table 8 of the paper)

Top-1 error of one 224x224 crop. Multiply-adds: {mflops}.

{imagenet}

## COCO (table 7)

Light-Head R-CNN at 800x1200. mmAP on val2017 after training on train2017 (the paper: minival, and train and val less
minival). Speed: batches of 4 on one GPU, a GTX 1080 Ti in the paper.

{coco}

## NanoDet-Plus on COCO

mmAP on val2017 after training on train2017, published by https://github.com/RangiLyu/nanodet (release
1.0.0-alpha). Ours start from ImageNet's weights; the published 1.5x started from a random backbone.

{nanodet_plus}

## How each figure was obtained

{runs}

## All backbones of table 7, as published

mmAP in percent by multiply-adds of the backbone at 224x224 (ours: 0.5x, 1.0x, 1.5x, 2.0x):

{mmap}

Images per second:

{speed}
"""
