"""Errors that the user can fix.

The command line prints such an error in one or two lines and exits with status 2. Any other error is a bug in this
package or in a library, and keeps its traceback.
"""

__all__ = ['BrokenImageError', 'StoppedError', 'UserError']


class UserError(ValueError):
    """An error that says what is wrong, what was expected, and what to do next.

    It takes a single string, because MMEngine's registry and PyTorch's data loader workers re-raise errors as
    ``type(error)(message)``.
    """


class BrokenImageError(UserError):
    """An image file is missing, truncated, too large or not an image. The message starts with its path."""


class StoppedError(Exception):
    """A signal stopped a command, which saved its state first.

    ``message`` says what was saved and how to continue; ``status`` is the exit status, 128 plus the signal's number.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
