"""The one kind of error that means "the user can mend this".

Tools print such an error as one or two lines and exit with status 2. Everything else is a bug of ours or of a library
and keeps its traceback.
"""

__all__ = ['UserError']


class UserError(ValueError):
    """What was wrong, what was expected, and what to type next.

    It takes a single string, so that MMEngine's registry and PyTorch's data loader workers, which raise an error again
    as ``type(error)(message)``, keep its type.
    """
