"""Figure that compares the multiply-adds, memory access and latency of backbones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...profiling.memory_access import Kind
from ...utils.files import unfinished_file
from ..guidelines.breakdown import shares
from ..guidelines.figure import KIND_COLORS
from .check import Checked, DesignCheck

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ['draw']

#: Colors by the purpose of a memory access: figure 2's kinds, with convolutions (and linear layers) divided further.
_ELEMENT_COLORS = {
    'convolution': KIND_COLORS[Kind.CONVOLUTION],
    'convolution: MAC above the lower bound (G1)': '#08306b',
    'convolution: MAC above that of one group (G2)': '#807dba',
    'depthwise convolution (G4)': '#9ecae1',
    'element-wise (G4)': KIND_COLORS[Kind.ELEMENTWISE],
    'data movement (G4)': KIND_COLORS[Kind.DATA_MOVEMENT],
    'other': KIND_COLORS[Kind.OTHER],
}
_PREDICTED = 'latency predicted from the counts'


def draw(check: DesignCheck, path: Path) -> None:
    """Draw the figure and write it to a file."""
    # Not pyplot, which has global state.
    from matplotlib.figure import Figure  # takes a second, and only figures need it

    names = [f'{checked.backbone}\n{checked.config}' for checked in check.checked]
    figure = Figure(figsize=(15, 2.4 + 0.7 * len(names)), layout='constrained')
    panels = figure.subplots(1, 3, sharey=True)
    figure.suptitle(f'{check.title}, norms fused')
    _bars(
        panels[0],
        'multiply-adds (G)',
        names,
        [{'convolution': checked.multiply_adds / 1e9} for checked in check.checked],
        _ELEMENT_COLORS,
    )
    _bars(
        panels[1],
        'elements read and written (M)',
        names,
        [_elements(checked) for checked in check.checked],
        _ELEMENT_COLORS,
    )
    _bars(
        panels[2],
        'latency (ms) by kind of operation',
        names,
        [
            {kind: share * checked.measured.median * 1e3 for kind, share in shares(checked.times).items()}
            for checked in check.checked
        ],
        KIND_COLORS,
    )
    panels[2].plot(
        [checked.predicted * 1e3 for checked in check.checked],
        names,
        'kD',
        markersize=5,
        markerfacecolor='white',
        label=_PREDICTED,
    )
    panels[0].invert_yaxis()
    handles, labels = panels[1].get_legend_handles_labels()
    more, more_labels = panels[2].get_legend_handles_labels()
    extra = [_PREDICTED] + [Kind.MATRIX_PRODUCT.value] * any(
        checked.elements[Kind.MATRIX_PRODUCT] for checked in check.checked
    )
    figure.legend(
        [*handles, *(more[more_labels.index(label)] for label in extra)],
        [*labels, *extra],
        loc='outside lower center',
        ncols=4,
    )
    with unfinished_file(path) as unfinished:
        figure.savefig(unfinished, dpi=110)


def _elements(checked: Checked) -> dict[str, float]:
    unequal, grouped = checked.total('G1')[1], checked.total('G2')[1]
    dense = checked.mac - checked.depthwise_elements - unequal - grouped
    values = (
        dense,
        unequal,
        grouped,
        checked.depthwise_elements,
        checked.elements[Kind.ELEMENTWISE],
        checked.elements[Kind.DATA_MOVEMENT],
        checked.elements[Kind.OTHER],
    )
    return {name: value / 1e6 for name, value in zip(_ELEMENT_COLORS, values)}


def _bars(panel: Axes, title: str, names: list[str], rows: list[dict[str, float]], colors: dict[str, str]) -> None:
    """Draw stacked bars labeled with their sums. Parts that are 0 for all backbones are left out."""
    left = [0.0] * len(names)
    for part in rows[0]:
        widths = [row[part] for row in rows]
        if not any(widths):
            continue
        panel.barh(names, widths, left=left, color=colors[part], label=part)
        left = [start + width for start, width in zip(left, widths)]
    for position, total in enumerate(left):
        panel.text(total, position, f' {total:.3g}', va='center')
    panel.set_xlim(0, 1.2 * max(left))
    panel.set_title(title)
