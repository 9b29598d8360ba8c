"""Where this project's configs lie."""

from __future__ import annotations

from pathlib import Path

__all__ = ['project_configs']


def project_configs() -> Path:
    """Beside the package in a checkout; in its folder ``.mim`` where it was installed from a wheel, for mim."""
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'
