"""The errors a user can do something about, told in one or two lines and never as a traceback."""


class UserError(Exception):
    """Something outside the program is not as expected; the message says what, and what to do next."""
