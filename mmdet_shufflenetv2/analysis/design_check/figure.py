"""Backbones side by side: what they compute, what they touch in memory, and what they take."""

from __future__ import annotations

from pathlib import Path

from ...errors import UserError
from ..guidelines.breakdown import shares
from ..guidelines.figure import KIND_COLORS
from ..memory_access import Kind
from .check import Checked, DesignCheck

__all__ = ['check_picture', 'draw']

_ELEMENT_COLORS = {'least of the dense convolutions': '#4292c6', 'above it: unequal widths (G1)': '#08306b',
                   'above it: groups (G2)': '#807dba', 'depthwise (G4)': '#fdae6b', 'element-wise (G4)': '#f16913',
                   'copies (G4)': '#74c476', 'other': '#bdbdbd'}


def check_picture(path: Path) -> None:
    """Raise a :class:`UserError` where a picture of that name cannot be written."""
    from matplotlib.backend_bases import FigureCanvasBase
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise UserError(f'--figure {path} is no kind of picture: expected a name that ends in .png, or in one of '
                        f'{", ".join(kinds)}.')
    if not path.absolute().parent.is_dir():
        raise UserError(f'--figure {path}: there is no folder {path.absolute().parent}.')


def draw(check: DesignCheck, path: Path) -> None:
    """Write the figure as a picture."""
    # Not pyplot: it holds state of the whole process.
    from matplotlib.figure import Figure

    names = [f'{checked.backbone}\n{checked.config}' for checked in check.checked]
    figure = Figure(figsize=(15, 1.6 + 0.75 * len(names)), layout='constrained')
    panels = figure.subplots(1, 3, sharey=True)
    threads = f', {check.threads} thread{"s" * (check.threads > 1)}' if check.device == 'cpu' else ''
    figure.suptitle(f'Backbones on one {check.height}x{check.width} image, norms folded; {check.machine}{threads}, '
                    f'PyTorch')
    panels[0].barh(names, [checked.multiply_adds / 1e9 for checked in check.checked], color='#4292c6')
    panels[0].set_xlabel('multiply-adds (G)')
    _stack(panels[1], names, [_elements(checked) for checked in check.checked], _ELEMENT_COLORS)
    panels[1].set_xlabel('elements read and written (M)')
    _stack(panels[2], names, [{kind: share * checked.measured.median * 1e3
                               for kind, share in shares(checked.times).items()} for checked in check.checked],
           KIND_COLORS)
    panels[2].plot([checked.predicted * 1e3 for checked in check.checked], names, 'kD', markersize=5,
                   markerfacecolor='white', label='predicted')
    panels[2].set_xlabel('milliseconds')
    panels[0].invert_yaxis()
    for panel in panels[1:]:
        panel.legend(fontsize='small', loc='upper center', bbox_to_anchor=(0.5, -0.3), ncols=2)
    figure.savefig(path, dpi=110)


def _elements(checked: Checked) -> dict[str, float]:
    unequal, grouped = checked.total('G1')[1], checked.total('G2')[1]
    dense = checked.elements[Kind.CONVOLUTION] - checked.depthwise_elements - unequal - grouped
    values = (dense, unequal, grouped, checked.depthwise_elements, checked.elements[Kind.ELEMENTWISE],
              checked.elements[Kind.DATA_MOVEMENT], checked.elements[Kind.OTHER])
    return {name: value / 1e6 for name, value in zip(_ELEMENT_COLORS, values)}


def _stack(panel: object, names: list[str], rows: list[dict[str, float]], colors: dict[str, str]) -> None:
    left = [0.0] * len(names)
    for part, color in colors.items():
        widths = [row[part] for row in rows]
        panel.barh(names, widths, left=left, color=color, label=part)
        left = [start + width for start, width in zip(left, widths)]
