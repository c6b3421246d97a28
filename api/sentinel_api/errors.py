"""Errors are told apart by what the caller does next, not by where they come from."""


class SentinelError(Exception):
    """What went wrong, in one sentence that says what to do; anything that is not one of these is a bug."""


class Invalid(SentinelError):
    """The user must change something; trying again cannot help."""


class Transient(SentinelError):
    """The same call may go through later."""


class Unsupported(SentinelError):
    """This kernel, cluster or cloud cannot do it; carry on without, and say so."""
