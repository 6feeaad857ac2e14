"""The root of all errors that this project raises for what a user can mend.

It stands in the lowest layer, so that every layer may derive its own from it.
"""


class WindvaneError(ValueError):
    """What was asked for or given cannot be: the message is one sentence that says why, and what to do.

    The command line catches this class alone (and OSError), prints the sentence and exits with code 2.
    """
