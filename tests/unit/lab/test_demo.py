"""What the demo leaves on the screen can be read on the smallest one."""

from io import StringIO

from rich.console import Console

from sentinel_lab.demo import table
from sentinel_lab.experiment import Plan, Run
from sentinel_lab.history import History
from sentinel_lab.results import ClassResult, NodeResult
from sentinel_lab.scenario import SINGLE


def test_the_closing_table_fits_eighty_columns_with_every_figure_whole():
    large = ClassResult(
        name="bystander", sent=12_345_678, received=1, dropped=9_876_543, drop_percent=88.88, goodput_bytes_per_s=1e9,
        delay_ms_mean=1234.5, delay_ms_p50=1.0, delay_ms_p95=2345.6, delay_ms_p99=2345.6, sojourn_ms_p50=1.0,
        sojourn_ms_p95=1.0,
        sojourn_ms_p99=3456.7, granted_bytes_mean=1e8, granted_bytes_peak=1e8, held_bytes_mean=1e8, held_bytes_peak=1e8,
    )  # fmt: skip
    plan = Plan(SINGLE, "periodic", "predictive", 30.0)
    run = Run(plan, 0, History(), (), (large, large), NodeResult(0, 0, 0, 0), ())
    screen = StringIO()
    Console(file=screen, width=80).print(table(run))
    lines = screen.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    for figure in ("12,345,678", "9,876,543", "88.88", "1234.5", "3456.7", "97,656"):
        assert figure in lines[-1]
