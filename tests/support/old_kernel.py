"""This kernel as one before 6.6: whoever asks for a tcx link hears what such a kernel says."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from sentinel_bpf import attach

if TYPE_CHECKING:
    import pytest


def without_tcx(patch: pytest.MonkeyPatch) -> None:
    real = attach._link

    def refused(program: attach.Program, index: int, attach_type: int, flags: int) -> int:
        if attach_type in (attach._TCX_INGRESS, attach._TCX_EGRESS):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return real(program, index, attach_type, flags)

    patch.setattr(attach, "_link", refused)
