"""What MMEngine's registries raise for a user's mistake in a config, as one line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.visualization import BaseVisBackend

from ..utils.errors import UserError

__all__ = ['registry_errors']

# MMEngine's registry puts this in front of an error that a class raised while it was built, once a level.
_BUILT_FROM = re.compile(r'^(class `\w+` in [\w/.]+: )+')


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turn MMEngine's "X is not in the registry" and "unexpected argument" into a :class:`UserError`.

    So, too, the error of a visualizer backend whose package is not installed.
    """
    try:
        yield
    except KeyError as error:
        message = str(error.args[0]) if error.args else ''
        if 'registry' not in message:
            raise
        raise UserError(f'The config names something that nothing has registered: {message.split(". ")[0].strip()}. '
                        f'Check the spelling, or import its module with custom_imports.') from error
    except TypeError as error:
        if not _in_the_registrys_call(error):
            raise
        raise UserError(f'The config does not fit: {_BUILT_FROM.sub("", str(error))}') from error
    except ImportError as error:
        owners = [frame.f_locals.get('self') for frame, _ in traceback.walk_tb(error.__traceback__)]
        backend = next((owner for owner in owners if isinstance(owner, BaseVisBackend)), None)
        if backend is None:
            raise
        # MMEngine's message names one package where a backend needs two.
        package = str(getattr(error.__context__, 'name', None) or error.name).split('.')[0]
        raise UserError(f'{type(backend).__name__} needs {package}, which is not installed: pip install {package}. Or '
                        f'leave it out of the vis_backends in the config.') from error


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
