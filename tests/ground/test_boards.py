"""What boards ask of a real Prometheus costs no more lines when there are more nodes."""

import pytest
from monitoring.cost import measured


@pytest.mark.soak
def test_a_board_shows_as_many_lines_whatever_the_number_of_nodes():
    few, many = (measured(nodes) for nodes in (30, 60))
    assert many["series"] > 1.9 * few["series"]
    assert not many["standing"], "the crowd is calm, or thousands of alerts would be what is measured"
    lines = [{(q["board"], q["panel"], q["line"]): q["series"] for q in each["queries"]} for each in (few, many)]
    assert lines[0] == lines[1]
    assert min(lines[1].values()) > 0, "a query that finds nothing costs nothing"
    assert max(lines[1].values()) <= 20
