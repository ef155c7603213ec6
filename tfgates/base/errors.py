"""The one error that is shown to the user as a line, without a stack trace."""


class UserError(Exception):
    """Bad input at the door: a flag, a file, a folder, a data set, a server.

    The message names the rule, the value received and the way out, on one line.
    """
