"""What MMEngine's registries raise for a user's mistake in a config, as one line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.visualization import BaseVisBackend, LocalVisBackend

from ..utils.errors import UserError

__all__ = ['registry_errors']

# MMEngine's registry puts this in front of an error that a class raised while it was built, once a level.
_BUILT_FROM = re.compile(r'^(class `\w+` in [\w/.]+: )+')


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turn MMEngine's "X is not in the registry" and "unexpected argument" into a :class:`UserError`.

    So, too, the error of a visualizer backend that cannot begin: its package is not installed, nobody is logged in.
    """
    try:
        yield
    except Exception as error:
        message = _of_backend(error) or _of_registry(error)
        if message is None:
            raise
        raise UserError(message) from error


def _of_registry(error: Exception) -> str | None:
    message = str(error.args[0]) if error.args else ''
    if isinstance(error, KeyError) and 'registry' in message:
        return (f'The config names something that nothing has registered: {message.split(". ")[0].strip()}. '
                f'Check the spelling, or import its module with custom_imports.')
    if isinstance(error, TypeError) and _in_the_registrys_call(error):
        return f'The config does not fit: {_BUILT_FROM.sub("", str(error))}'
    return None


def _of_backend(error: Exception) -> str | None:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    backend = next((frame.f_locals.get('self') for frame in frames if frame.f_code.co_name == '_init_env'), None)
    if not isinstance(backend, BaseVisBackend) or isinstance(backend, LocalVisBackend):
        return None
    name, advice = type(backend).__name__, 'Or leave it out of `tracker`, or out of the vis_backends in the config.'
    if isinstance(error, ImportError):
        # MMEngine's message names one package where a backend needs two.
        package = str(getattr(error.__context__, 'name', None) or error.name).split('.')[0]
        return f'{name} needs {package}, which is not installed: pip install {package}. {advice}'
    said = ' '.join(str(error).split()) or type(error).__name__
    return f'{name} cannot begin: {said.rstrip(".")}. {advice}'


def _in_the_registrys_call(error: TypeError) -> bool:
    """Whether it was the config's arguments that did not fit; any other TypeError is a bug and keeps its traceback.

    They fail in the registry's own call, or where an object that it builds hands them on to a base class.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    built = frames[-1].f_locals.get('self')
    while frames[-1].f_code.co_name == '__init__' and frames[-1].f_locals.get('self') is built:
        frames.pop()
        if not any(str(error).startswith(f'{kind.__qualname__}.__init__()') for kind in type(built).__mro__):
            return False
    return frames[-1].f_code.co_filename.endswith('build_functions.py')
