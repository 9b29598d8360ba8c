"""One-line messages for the errors that MMEngine's registries raise for mistakes in a config."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.visualization import BaseVisBackend, LocalVisBackend

from ..utils.errors import UserError

__all__ = ['registry_errors']

# Prefix that MMEngine's registry adds, once per level, to an error raised while a class is built.
_BUILT_FROM = re.compile(r'^(class `\w+` in [\w/.]+: )+')


@contextmanager
def registry_errors() -> Iterator[None]:
    """Convert MMEngine's "X is not in the registry" and "unexpected argument" errors to a :class:`UserError`.

    Also convert the error of a visualizer backend that cannot start, for example because its package is missing.
    """
    try:
        yield
    except Exception as error:
        message = _backend_message(error) or _registry_message(error)
        if message is None:
            raise
        raise UserError(message) from error


def _registry_message(error: Exception) -> str | None:
    message = str(error.args[0]) if error.args else ''
    if isinstance(error, KeyError) and 'registry' in message:
        return (
            f'Unknown type in the config: {message.split(". ")[0].strip()}. Check the spelling, or import its '
            f'module with custom_imports.'
        )
    if isinstance(error, TypeError) and _is_config_error(error):
        return f'Invalid arguments in the config: {_BUILT_FROM.sub("", str(error))}'
    return None


def _backend_message(error: Exception) -> str | None:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    backend = next((frame.f_locals.get('self') for frame in frames if frame.f_code.co_name == '_init_env'), None)
    if not isinstance(backend, BaseVisBackend) or isinstance(backend, LocalVisBackend):
        return None
    name, advice = type(backend).__name__, 'Or remove it from `tracker`, or from vis_backends in the config.'
    if isinstance(error, ImportError):
        # MMEngine's message has only one of the packages of a backend that needs two.
        package = str(getattr(error.__context__, 'name', None) or error.name).split('.')[0]
        return f'{name} needs {package}, which is not installed: pip install {package}. {advice}'
    reason = ' '.join(str(error).split()) or type(error).__name__
    return f'{name} cannot start: {reason.rstrip(".")}. {advice}'


def _is_config_error(error: TypeError) -> bool:
    """Whether arguments in the config caused the error; any other TypeError is a bug and keeps its traceback.

    Such an error is raised in the registry's own call, or where the built object passes arguments to a base class.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    built = frames[-1].f_locals.get('self')
    while frames[-1].f_code.co_name == '__init__' and frames[-1].f_locals.get('self') is built:
        frames.pop()
        if not any(str(error).startswith(f'{kind.__qualname__}.__init__()') for kind in type(built).__mro__):
            return False
    return frames[-1].f_code.co_filename.endswith('build_functions.py')
