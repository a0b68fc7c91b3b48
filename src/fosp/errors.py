"""The one exception for bad input."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that names the file or field and the fix; the command line prints it
    without a traceback and exits with code 2.
    """
