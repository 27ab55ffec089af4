"""The one exception that is shown as a plain sentence."""


class StepError(Exception):
    """A step could not be done; the text says what was wrong and what to do."""
