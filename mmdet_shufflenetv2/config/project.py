"""Locate the configs of this project."""

from __future__ import annotations

from pathlib import Path

from ..utils.errors import UserError

__all__ = ['project_config', 'project_configs']


def project_configs() -> Path:
    """The folder of this project's configs: next to the package in a checkout, in its ``.mim`` folder in a wheel."""
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def project_config(name: str) -> Path:
    """The path of one of this project's configs by its name, such as ``nanodet_m_snv2``.

    Raises:
        UserError: If the package was installed without its configs.
    """
    path = project_configs() / f'{name}.py'
    if not path.is_file():
        raise UserError(
            f'{path} is missing: the package was installed without its configs. Name the config file, or '
            f'run pip install -e . in the folder of the project.'
        )
    return path
