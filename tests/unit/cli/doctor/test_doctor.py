"""The command on the machine that runs the tests, whatever it lacks."""

import json

from click.testing import CliRunner

from sentinel_cli.doctor import doctor


def test_json_and_exit_code_agree_and_each_check_is_whole():
    answer = CliRunner().invoke(doctor, ["--json"])
    said = json.loads(answer.output)
    assert answer.exit_code == (0 if said["demoRuns"] else 1)
    assert said["tier"] in ("A", "B", "C")
    assert {check["state"] for check in said["checks"]} <= {"ok", "note", "lacks"}
    assert all(check["name"] and check["says"] for check in said["checks"])
    assert said["demoRuns"] == all(check["state"] != "lacks" for check in said["checks"])


def test_the_table_fits_eighty_columns():
    answer = CliRunner().invoke(doctor, env={"COLUMNS": "80", "TERM": "dumb"})
    assert max(len(line) for line in answer.output.splitlines()) <= 80
    assert f"tier {json.loads(CliRunner().invoke(doctor, ['--json']).output)['tier']}" in answer.output
