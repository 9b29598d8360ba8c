"""The file that a plot goes to."""

from __future__ import annotations

from pathlib import Path

from ..utils.errors import UserError

__all__ = ['check_plot_file']


def check_plot_file(path: Path, name: str) -> None:
    """Raise a :class:`UserError`, which names the argument, where matplotlib cannot write a picture of that name."""
    from matplotlib.backend_bases import FigureCanvasBase
    kinds = FigureCanvasBase.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise UserError(f'{name}={path} is not a kind of image: expected a name that ends in .png, or in one of '
                        f'{", ".join(kinds)}.')
    if not path.absolute().parent.is_dir():
        raise UserError(f'{name}={path}: there is no folder {path.absolute().parent}.')
