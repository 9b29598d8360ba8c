"""The configs of this project, wherever it is installed."""

from __future__ import annotations

from pathlib import Path

from ..utils.errors import UserError

__all__ = ['project_config', 'project_configs']


def project_configs() -> Path:
    """Beside the package in a checkout; in its folder ``.mim`` where it was installed from a wheel, for mim."""
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def project_config(name: str) -> Path:
    """One of this project's configs by its name, ``nanodet_m_snv2``, from whatever the current folder is.

    Raises:
        UserError: If the package was installed without the folder of its configs.
    """
    path = project_configs() / f'{name}.py'
    if not path.is_file():
        raise UserError(f'{path} is missing: the package was installed without its configs. Name the config, or '
                        f'install with pip install -e . in the folder of the project.')
    return path
