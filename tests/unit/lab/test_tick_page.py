"""The page of a tick's cost says what is stored and nothing else."""

from sentinel_lab.bench import tick_page


def stored(cpu, **machine):
    conditions = {"date": "2026-01-01", "kernel": "6.18", "cpus": "2", "python": "3.11"} | machine
    metrics = {"tick_p99_ms": 5.2051, "predict_p99_ms": 0.9481, "cpu_percent": cpu, "rss_mib": 140.07}
    return {
        "machine": conditions,
        "metrics": metrics | {"predict_share": 0.20492, "learn_share": 0.13490},
        "rows": [
            {"what": "load average, one minute", "start": 4.84, "end": 1.77},
            {"what": "ticks", "measured": 900, "missed": 3},
        ],
    }


def test_shares_conditions_and_verdicts_are_those_of_the_file():
    found = {"tick.json": stored(4.3, command="sentinel bench tick"), "tick-before.json": stored(5.044)}
    turns = [{"change": "one dump", "metric": "% of a core", "load": "12 to 15", "before": 5.2, "after": 4.666}]
    page = tick_page.page(found, turns)
    assert "predict 0.205, learn 0.135" in page
    assert "| `cpu_percent` | 4.30 | 5.04 | 5 |" in page
    assert "| ticks measured / missed | 900 / 3 | 900 / 3 | |" in page
    assert "All within their budgets." in page
    assert "Beyond its budget: `cpu_percent` (5.04 of 5)." in page
    assert "| one dump | % of a core | 12 to 15 | 5.20 | 4.67 |" in page
    assert page.count("sudo sentinel") == 1, "a file without its command was given one"
