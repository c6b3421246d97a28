"""What the kernel refuses over netlink, as one of our errors: translated here and nowhere else."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyroute2.netlink.exceptions import NetlinkError

from sentinel_api.errors import Invalid, Transient, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def said(doing: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as cause:
        sentence = f"{doing}: {cause.args[1] if len(cause.args) > 1 else cause}"
        if cause.code in {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP}:
            raise Unsupported(sentence) from cause
        if cause.code == errno.EINVAL:
            raise Invalid(sentence) from cause
        raise Transient(sentence) from cause
