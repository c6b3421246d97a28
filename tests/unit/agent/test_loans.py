"""What was lent and taken back, for each queue."""

import numpy as np

from sentinel_agent.loans import WINDOW_TICKS, Loans


def rows(*amounts):
    return np.array(amounts, np.int64)


def test_only_what_was_lent_can_be_taken_back():
    loans = Loans(2)
    assert loans.step(rows(100, 50)).tolist() == [0, 0]
    assert loans.step(rows(40, 80)).tolist() == [60, 0]
    assert (loans.lent_total, loans.taken_back.tolist(), loans.lately.tolist()) == (180, [60, 0], [60, 0])


def test_what_was_taken_back_lately_is_forgotten_after_the_window_and_the_total_is_not():
    loans = Loans(1)
    loans.step(rows(100))
    loans.step(rows(0))
    for _ in range(WINDOW_TICKS - 1):
        loans.step(rows(0))
        assert loans.lately.tolist() == [100]
    loans.step(rows(0))
    assert (loans.lately.tolist(), loans.taken_back.tolist()) == ([0], [100])
