"""A real Prometheus for a test: scrapes once a second, evaluates the product's rules, answers queries. In a hurry it
lets time pass faster: what a rule waits for or looks back at is so many times shorter, thresholds are as they are."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from monitoring.render import groups

from support.cluster.control_plane import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sentinel_lab.namespaces import Namespace

PORT = 19_190
PATIENCE_S = 240.0
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass
class Prometheus:
    space: Namespace | None
    process: subprocess.Popen[bytes]
    log: Path
    port: int
    patience_s: float = PATIENCE_S

    def answers(self, expr: str) -> list[dict[str, Any]]:
        """The series of an instant query; an error of the query is one of the test."""
        query = urllib.parse.urlencode({"query": expr})
        with (
            self._entered(),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=60) as said,
        ):
            found = json.loads(said.read())
        return found["data"]["result"]

    def standing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {each["metric"]["alertname"] for each in self.answers('ALERTS{alertstate="firing"}')}

    def wait_for(self, expr: str) -> list[dict[str, Any]]:
        deadline = time.monotonic() + self.patience_s
        while not (found := self._tried(expr)):
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"no data in {self.patience_s:g} s: {expr}"
            time.sleep(0.2)
        return found

    def _tried(self, expr: str) -> list[dict[str, Any]]:
        try:
            return self.answers(expr)
        except OSError:  # not up yet
            return []

    def _entered(self):
        return self.space.entered() if self.space else nullcontext()


def sooner(duration: str, times: int) -> str:
    """`10m`, thirty times as fast → `20000ms`."""
    return f"{int(duration[:-1]) * SECONDS[duration[-1]] * 1000 // times}ms"


def hurried(rules: dict[str, Any], times: int) -> dict[str, Any]:
    """Alerts with shorter `for` and shorter ranges; sums that are kept for boards stay."""
    for rule in (rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule):
        rule["for"] = sooner(rule["for"], times)
        rule["expr"] = re.sub(r"\[(\d+[smhd])\]", lambda found: f"[{sooner(found[1], times)}]", rule["expr"])
    return rules


@contextmanager
def prometheus(
    folder: Path,
    jobs: Mapping[str, Sequence[str]],
    space: Namespace | None = None,
    *,
    times: int = 1,
    pause: str = "1s",
    honor_labels: bool = False,
) -> Iterator[Prometheus]:
    """`jobs`: name → addresses. Rules are evaluated each second, too, or a test would wait for minutes."""
    rules = hurried(groups(), times)
    for group in rules["groups"]:
        group["interval"] = pause
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    scraped = [
        {
            "job_name": name,
            "scrape_interval": pause,
            "honor_labels": honor_labels,
            "static_configs": [{"targets": list(targets)}],
        }
        for name, targets in jobs.items()
    ]
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "scrape_configs": scraped}))
    log = folder / "prometheus.log"
    argv = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    port = PORT if space else free_ports("127.0.0.1", 1)[0]  # a namespace has all of its own
    argv += [f"--web.listen-address=127.0.0.1:{port}"]
    with log.open("wb") as out, space.entered() if space else nullcontext():
        process = subprocess.Popen(argv, stdout=out, stderr=out)
    try:
        yield Prometheus(space, process, log, port)
    finally:
        process.kill()
        process.wait()
