"""The one way in which a mistake of the user's (a path, a row, an option) leaves the package."""


class UserError(Exception):
    """A mistake that the user can mend: one line that says what is wrong, where, and the cure.

    The command line prints it after ``error:`` and exits with code 2; Python callers may catch it.
    """


class WriteError(UserError):
    """An output cannot be written; going on with other inputs would not help."""
