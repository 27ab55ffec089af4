"""The one exception that is shown to the user as a plain sentence, without a traceback."""


class DevclusterError(Exception):
    """Something the user can act on; the text says what was wrong and what to do."""


class MachineError(DevclusterError):
    """The machine cannot run the full cluster as it is; a cluster of one's own would do instead."""
