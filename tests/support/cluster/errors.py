"""What the cluster support raises, by what the caller does next."""


class ClusterError(Exception):
    """One sentence that says what is wrong and what to do."""


class Unavailable(ClusterError):
    """This machine lacks what is needed: a test skips with the sentence as its reason."""
