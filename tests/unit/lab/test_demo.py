"""What the demo leaves on the screen can be read on the smallest one."""

from io import StringIO

from rich.console import Console

from sentinel_lab.demo import table
from sentinel_lab.experiment import ClassResult, Plan, Run
from sentinel_lab.history import History
from sentinel_lab.scenario import SINGLE


def test_the_closing_table_fits_eighty_columns_with_every_figure_whole():
    large = ClassResult(
        "bystander", 12_345_678, 12_000_000, 9_876_543, 88.88, 1234.5, 2345.6, 3456.7, 1e8, 1e8, 1e8, 1e8
    )
    run = Run(Plan(SINGLE, "periodic", "predictive", 30.0), 0, History(), (), (large, large), ())
    screen = StringIO()
    Console(file=screen, width=80).print(table(run))
    lines = screen.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    for figure in ("12,345,678", "9,876,543", "88.88", "1234.5", "3456.7", "97,656"):
        assert figure in lines[-1]
