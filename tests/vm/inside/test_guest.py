"""The guest is the kernel that was asked for, and sees this tree."""

import os
import platform
from pathlib import Path


def test_the_kernel_is_the_one_that_was_asked_for():
    assert platform.release().startswith(os.environ["SENTINEL_VM_KERNEL"] + ".")


def test_writes_stay_in_the_guest(tmp_path):
    (tmp_path / "probe").write_text("x")
    (Path(__file__).parent / "written-in-a-guest").write_text("x")
