"""Published figures of the ShuffleNet V2 paper (Ma et al., ECCV 2018, arXiv 1807.11164) and of NanoDet-Plus, and the
configs to reproduce them.
"""

from __future__ import annotations

from typing import NamedTuple

from ...utils.errors import UserError

__all__ = [
    'COCO_IMAGES_PER_SECOND',
    'COCO_MMAP',
    'IMAGENET',
    'LEVELS',
    'NANODET_PLUS_MMAP',
    'ROWS',
    'Cell',
    'ImageNetRow',
    'Row',
    'find_row',
]


class ImageNetRow(NamedTuple):
    """A row of table 8."""

    mflops: int
    #: Top-1 error in percent, single 224x224 crop.
    top1_error: float


#: Table 8, ImageNet: (width, kind) -> row; kind is '' or 'se' (squeeze-and-excitation).
IMAGENET = {
    (0.5, ''): ImageNetRow(41, 39.7),
    (1.0, ''): ImageNetRow(146, 30.6),
    (1.5, ''): ImageNetRow(299, 27.4),
    (2.0, ''): ImageNetRow(591, 25.1),
    (2.0, 'se'): ImageNetRow(597, 24.6),
}

#: Table 7's columns: multiply-adds of the backbone at 224x224 -> our width.
LEVELS = {'40M': 0.5, '140M': 1.0, '300M': 1.5, '500M': 2.0}

#: Table 7, COCO: backbone -> mmAP in percent at each level; Light-Head R-CNN, 800x1200 pixels, minival.
COCO_MMAP = {
    'Xception': (21.9, 29.0, 31.3, 32.9),
    'ShuffleNet v1': (20.9, 27.0, 29.9, 32.9),
    'MobileNet v2': (20.7, 24.4, 30.0, 30.6),
    'ShuffleNet V2': (22.5, 29.0, 31.8, 33.3),
    'ShuffleNet V2*': (23.7, 29.6, 32.2, 34.2),
}

#: Table 7: backbone -> images per second at each level; batches of 4 on one GTX 1080 Ti.
COCO_IMAGES_PER_SECOND = {
    'Xception': (178, 131, 101, 83),
    'ShuffleNet v1': (152, 85, 76, 60),
    'MobileNet v2': (146, 111, 94, 72),
    'ShuffleNet V2': (188, 146, 109, 87),
    'ShuffleNet V2*': (183, 138, 105, 83),
}

#: NanoDet-Plus, COCO's val2017: (width, input in pixels) -> mmAP in percent (RangiLyu/nanodet 1.0.0-alpha).
NANODET_PLUS_MMAP = {(1.0, 320): 27.0, (1.0, 416): 30.4, (1.5, 320): 29.9, (1.5, 416): 34.1}


class Cell(NamedTuple):
    """One figure of a row."""

    #: Name of the metric.
    quantity: str
    published: float


class Row(NamedTuple):
    """A network in a table of the paper, or a variant of NanoDet-Plus."""

    #: ``imagenet`` (table 8), ``coco`` (table 7) or ``nanodet-plus``.
    table: str
    width: float
    #: '', ``star`` (V2*, for detection) or ``se`` (squeeze-and-excitation).
    kind: str = ''
    #: Input size of NanoDet-Plus in pixels; 0 for the others, which have a single one.
    size: int = 0

    @property
    def name(self) -> str:
        """Name of its folder, such as ``coco_star_1.0x``."""
        return '_'.join(filter(None, (self.table, self.kind, f'{self.width}x', str(self.size or ''))))

    @property
    def network(self) -> str:
        """Name of the network in the paper."""
        if self.table == 'nanodet-plus':
            return f'NanoDet-Plus-m{"" if self.width == 1.0 else f"-{self.width}x"} at {self.size} pixels'
        return f'ShuffleNet V2{"*" if self.kind == "star" else ""} {self.width}x{" with SE" * (self.kind == "se")}'

    @property
    def classifier_config(self) -> str:
        """Config that trains the network on ImageNet."""
        return f'configs/imagenet/shufflenet_v2_{"_".join(filter(None, (self.kind, f"{self.width}x")))}.py'

    @property
    def config(self) -> str:
        """Config whose evaluation gives the row's figure."""
        if self.table == 'imagenet':
            return self.classifier_config
        detector = 'nanodet_plus_m_snv2' if self.size else 'light_head_rcnn_snv2'
        suffixes = [self.kind, '' if self.width == 1.0 else f'{self.width}x', '416' if self.size == 416 else '']
        return f'configs/{"_".join([detector, *filter(None, suffixes)])}.py'

    @property
    def cells(self) -> dict[str, Cell]:
        """Its figures, by their names in :mod:`.chain`."""
        if self.table == 'imagenet':
            return dict(top1_error=Cell('top-1 error %', IMAGENET[self.width, self.kind].top1_error))
        if self.table == 'nanodet-plus':
            return dict(mmap=Cell('mmAP %', NANODET_PLUS_MMAP[self.width, self.size]))
        backbone = 'ShuffleNet V2*' if self.kind == 'star' else 'ShuffleNet V2'
        level = list(LEVELS.values()).index(self.width)
        return dict(
            mmap=Cell('mmAP %', COCO_MMAP[backbone][level]),
            images_per_second=Cell('img/s', COCO_IMAGES_PER_SECOND[backbone][level]),
        )


#: All rows: the paper's tables in order, then NanoDet-Plus.
ROWS = (
    *(Row('imagenet', width, kind) for width, kind in IMAGENET),
    *(Row('coco', width, kind) for kind in ('', 'star') for width in LEVELS.values()),
    *(Row('nanodet-plus', width, size=size) for width, size in NANODET_PLUS_MMAP),
)


def find_row(
    table: str | None, width: str | None, *, star: bool = False, se: bool = False, size: int | None = None
) -> Row:
    """Find a row by its properties.

    Args:
        table: ``imagenet``, ``coco`` or ``nanodet-plus``.
        width: ``0.5``, ``1.0``, ``1.5`` or ``2.0``, optionally followed by an x.
        star: Whether it is ShuffleNet V2*.
        se: Whether it has squeeze-and-excitation.
        size: Input size of NanoDet-Plus in pixels, by default 320.

    Raises:
        UserError: If there is no such row. The message lists the existing ones.
    """
    if table is None or width is None:
        raise UserError('Choose a row: table=imagenet, coco or nanodet-plus, and width=0.5, 1.0, 1.5 or 2.0.')
    rows = [row for row in ROWS if row.table == table]
    if not rows:
        raise UserError(
            f"table={table} is unknown: expected imagenet (the paper's table 8), coco (table 7) or nanodet-plus."
        )
    kind = ' and '.join(['star'] * star + ['se'] * se)
    if not any(row.kind == kind for row in rows):
        raise UserError(
            f'Table {table} has no row {" ".join(f"`{name}`" for name in kind.split(" and "))}: it has '
            f'{", ".join(row.network for row in rows)}.'
        )
    sizes = dict.fromkeys(row.size for row in rows)
    if size is not None and size not in filter(None, sizes):
        raise UserError(
            f'Table {table} has no row of size {size}: '
            + (
                'all its networks have the same input size, omit `size`.'
                if sizes == {0: None}
                else f'the sizes are {", ".join(map(str, sizes))}.'
            )
        )
    rows = [row for row in rows if row.size == (size or next(iter(sizes)))]
    for row in rows:
        if row.kind == kind and width.removesuffix('x') in (str(row.width), f'{row.width:g}'):
            return row
    widths = ', '.join(str(row.width) for row in rows if row.kind == kind)
    raise UserError(f'Table {table} has no row of width {width}{f" `{kind}`" * bool(kind)}: the widths are {widths}.')
