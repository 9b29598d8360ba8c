"""The one kind of error that means "the user can mend this".

Tools print such an error as one or two lines and exit with status 2. Everything else is a bug of ours or of a library
and keeps its traceback.
"""

__all__ = ['BrokenImageError', 'StoppedError', 'UserError']


class UserError(ValueError):
    """What was wrong, what was expected, and what to type next.

    It takes a single string, so that MMEngine's registry and PyTorch's data loader workers, which raise an error again
    as ``type(error)(message)``, keep its type.
    """


class BrokenImageError(UserError):
    """An image file that is missing, truncated, too large or no image. Its text starts with the path."""


class StoppedError(Exception):
    """A person or the system asked a tool to stop, and it did so in order.

    ``message`` says what was saved and how to go on; ``status`` is the tool's exit status, 128 and the signal's number.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
