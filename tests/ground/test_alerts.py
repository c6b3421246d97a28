"""promtool reads the rules as Prometheus would, and tries each alert with its cases."""

import subprocess
from dataclasses import replace

import pytest
import yaml
from monitoring.__main__ import ROOT
from monitoring.alerts import ALERTS
from monitoring.render import RUNBOOKS
from monitoring.rules import Alert, Case

RULES = ROOT / "deploy/prometheus/sentinel.rules.yaml"


def promtool(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *argv], capture_output=True, text=True, check=False, timeout=120)


def test_the_rules_are_rules():
    done = promtool("check", "rules", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stderr + done.stdout


def tried(alert: Alert, case: Case) -> dict:
    """One of promtool's tests. Its annotations are the rule file's, with the labels filled in; only Prometheus can do
    that, so that the rules are tried without them."""
    expected = [{"exp_labels": {**labels, "severity": alert.severity}} for labels in case.fires]
    series = [{"series": name, "values": values} for name, values in case.series.items()]
    at = [{"eval_time": f"{case.minute}m", "alertname": alert.name, "exp_alerts": expected}]
    return {"interval": "1m", "input_series": series, "alert_rule_test": at}


def verdict(folder, alerts) -> subprocess.CompletedProcess[str]:
    groups = yaml.safe_load(RULES.read_text())
    for group in groups["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    (folder / "bare.yaml").write_text(yaml.safe_dump(groups))
    cases = [tried(alert, case) for alert in alerts for case in alert.cases]
    (folder / "cases.yaml").write_text(
        yaml.safe_dump({"rule_files": ["bare.yaml"], "evaluation_interval": "1m", "tests": cases})
    )
    return promtool("test", "rules", str(folder / "cases.yaml"))


def test_each_alert_stands_when_it_should_and_only_then(tmp_path):
    done = verdict(tmp_path, ALERTS)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("wrong", [(), ({"instance": "other"},)], ids=["expects none", "expects another"])
def test_a_wrong_expectation_is_found(tmp_path, wrong):
    first = ALERTS[0]
    bad = replace(first, cases=(replace(first.cases[0], fires=wrong),))
    assert verdict(tmp_path, [bad]).returncode != 0


def test_each_alert_leads_to_its_runbook():
    for rule in (rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]):
        if "alert" in rule:
            _, _, page = rule["annotations"]["runbook_url"].partition("/main/")
            assert (ROOT / page).read_text().count(f"# {rule['alert']}\n") == 1
    assert (ROOT / RUNBOOKS / "README.md").exists()
