"""Report of a design check in Markdown: layer by layer for one backbone, in total for several."""

from __future__ import annotations

from ...profiling.memory_access import Kind
from .check import Checked, DesignCheck

__all__ = ['layers_markdown', 'sums_markdown']


def sums_markdown(check: DesignCheck) -> str:
    """One row per backbone: counts, cost of the violations of each guideline, predicted and measured latency."""
    columns = (
        'config',
        'backbone',
        'multiply-adds',
        'MAC',
        'element-wise',
        'copied',
        'G1: unequal widths',
        'G2: groups',
        'G3: fragments',
        'G4: element-wise, copies, depthwise',
        'predicted',
        'measured',
        'spread',
    )
    return '\n'.join(
        [
            f'{check.title}, norms fused. The latency model has a median error of {check.model.error:.0%} on the '
            f'networks that it was fitted to.\n',
            f'| {" | ".join(columns)} |',
            '| --- ' * len(columns) + '|',
            *(f'| {" | ".join(_cells(checked))} |' for checked in check.checked),
        ]
    )


def layers_markdown(checked: Checked) -> str:
    """One row per violation, in the order of the network."""
    lines = ['| layer | guideline | what | elements | costs here |', '| --- ' * 5 + '|']
    lines += [
        f'| {entry.layer} | {entry.guideline} | {entry.what} | '
        f'{f"{entry.elements / 1e3:.0f}k" if entry.elements else ""} | {entry.seconds * 1e3:.3f} ms |'
        for entry in checked.violations
    ]
    return '\n'.join(lines)


def _cells(checked: Checked) -> tuple[str, ...]:
    def price(guideline: str) -> str:
        number, elements, seconds = checked.total(guideline)
        counted = f'{number} block{"s" * (number > 1)}' if guideline == 'G3' else f'{elements / 1e6:.2f}M elements'
        return f'{counted}, {seconds * 1e3:.2f} ms' if number else 'none'

    return (
        checked.config,
        checked.backbone,
        f'{checked.multiply_adds / 1e6:.0f}M',
        *(
            f'{elements / 1e6:.1f}M'
            for elements in (checked.mac, checked.elements[Kind.ELEMENTWISE], checked.elements[Kind.DATA_MOVEMENT])
        ),
        *map(price, ('G1', 'G2', 'G3', 'G4')),
        f'{checked.predicted * 1e3:.1f} ms',
        f'{checked.measured.median * 1e3:.1f} ms',
        f'{checked.measured.spread:.0%}',
    )
