"""Tier A's figures are read from the lane's table whole, or their absence is told."""

import pytest

from sentinel_api.errors import Unsupported
from sentinel_lab.bench import tier_a

TABLE = """
tests/vm/inside/test_qdisc.py .                                          [100%]
======================= 2 passed in 20.76s =======================
                                   6.18
tier_a_lost                           0
tier_a_vs_b_resize_16_ratio      0.0447
tier_a_vs_b_resize_ratio         0.1262
kernel 6.18: 2 passed (40.1 s)
"""


def test_each_metric_is_read_from_its_line():
    found = tier_a.read(TABLE)
    assert found == {
        "tier_a_lost": 0.0, "tier_a_vs_b_resize_16_ratio": 0.0447, "tier_a_vs_b_resize_ratio": 0.1262,
    }  # fmt: skip


def test_a_table_that_lacks_one_is_no_answer():
    with pytest.raises(Unsupported, match="told nothing of tier_a_lost"):
        tier_a.read(TABLE.replace("tier_a_lost", "something_else"))


def lane_that(tmp_path, script: str):
    lane = tmp_path / "run"
    lane.write_text(script)
    (tmp_path / "kernels.toml").write_text('[kernel."6.1"]\nfeatures = []\n[kernel."6.18"]\nfeatures = ["qdisc_bpf"]\n')
    return lane


def test_the_lane_is_asked_for_the_kernel_that_has_the_feature_and_for_the_tests_that_measure(tmp_path):
    lane = lane_that(tmp_path, f"import sys\nopen({str(tmp_path / 'asked')!r}, 'w').write(' '.join(sys.argv[1:]))")
    with pytest.raises(Unsupported, match="told nothing"):
        tier_a.figures(lane)
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("--kernel 6.18 ")
    for test in tier_a.MEASURED_BY:
        assert test in asked
        file, name = test.split("::")
        assert f"def {name}(" in (tier_a.TREE / file).read_text()


def test_a_lane_that_cannot_run_says_why(tmp_path):
    with pytest.raises(Unsupported, match=r"`make vm` says more\. \(no qemu\)"):
        tier_a.figures(lane_that(tmp_path, "print('no qemu'); raise SystemExit(2)"))
    with pytest.raises(Unsupported, match="not here"):
        tier_a.figures(tmp_path / "nowhere")
