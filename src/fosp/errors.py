"""The one exception for bad input, and the one warning."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one sentence that names the file or field and the fix; the command line prints it
    without a traceback and exits with code 2.
    """


class Notice(UserWarning):
    """Something that may be meant so, and that a user will want to know.

    The command line prints it as one line on standard error and goes on.
    """
