"""To routers, through FRR that runs beside us: addresses on the loopback device, and its configuration reloaded.

FRR's own reload tool sends the daemons only what differs, so that no session is dropped. It takes about a second and
runs in a thread of its own; coming and going of addresses does not wait for it.
"""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_api.errors import Invalid
from sentinel_lb.act.addresses import Addresses
from sentinel_lb.decide.frr import Speaker, rendered

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
    from sentinel_lb.settings import FrrSettings

LOOPBACK: Final = "lo"
RELOAD: Final = "/usr/lib/frr/frr-reload.py"
RELOAD_S: Final = 30.0
RETRY_S: Final = 1.0

log = structlog.get_logger()


class Frr:
    """`announce` is for the tick's thread."""

    def __init__(self, chosen: FrrSettings, router_id: str) -> None:
        self._chosen = chosen
        self._router_id = router_id
        self._addresses = Addresses(LOOPBACK)
        self._wanted = ""
        self._loaded = ""
        self._changed = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._keep_loaded, name="frr", daemon=True)
        self._thread.start()

    def configure(self, config: BalancerConfig) -> None:
        bgp = config.announce.bgp
        router_id = config.router_id or self._router_id
        if bgp is None or not router_id:
            raise Invalid("BGP needs a router id: set routerId, since the interface has no IPv4 address")
        secrets = {peer.password_secret for peer in bgp.peers if peer.password_secret}
        passwords = {name: _secret(self._chosen.secrets / name / "password") for name in secrets}
        self._wanted = rendered(Speaker(bgp, router_id, config.addresses, passwords, config.draining))
        self._changed.set()

    def announce(self, addresses: Collection[str], *, sure: bool = True) -> None:  # noqa: ARG002  routers hear all
        """The device itself is asked what is there: it costs microseconds, and whoever took one away is outvoted."""
        held = self._addresses.held()
        for address in sorted(held - set(addresses)):
            self._addresses.remove(address)
            log.info("address_withdrawn", address=address)
        for address in sorted(set(addresses) - held):
            self._addresses.add(address)
            log.info("address_announced", address=address)

    def withdraw(self) -> None:
        self.announce(())

    @property
    def settled(self) -> bool:
        """Whether FRR runs what it was last told."""
        return bool(self._wanted) and self._loaded == self._wanted

    def close(self) -> None:
        """What is announced stays announced."""
        self._stopped = True
        self._changed.set()
        self._thread.join()

    def _keep_loaded(self) -> None:
        while self._changed.wait() and not self._stopped:
            self._changed.clear()
            while self._loaded != self._wanted and not self._stopped:
                wanted = self._wanted
                complaint = self._reload(wanted)
                if not complaint:
                    self._loaded = wanted
                    log.info("frr_reloaded", folder=str(self._chosen.folder))
                    continue
                log.warning("frr_not_reloaded", error=complaint, again_s=RETRY_S)
                self._changed.wait(RETRY_S)

    def _reload(self, text: str) -> str:
        """What went wrong, or an empty string. The file stays: FRR starts with it the next time, too."""
        path = self._chosen.folder / "frr.conf"
        fresh = path.with_name("frr.conf.new")
        argv = [RELOAD, "--reload", str(path), "--confdir", str(self._chosen.folder), "--overwrite"]
        if self._chosen.instance:
            argv += ["--pathspace", self._chosen.instance]
        try:
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            fresh.rename(path)
            done = subprocess.run(argv, capture_output=True, text=True, timeout=RELOAD_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return "" if done.returncode == 0 else (done.stderr or done.stdout)[-500:].strip()


def _secret(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Invalid(f"cannot read the peer's password from {path} ({error.strerror}): mount its secret") from error
