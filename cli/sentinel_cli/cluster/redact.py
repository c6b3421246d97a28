"""What leaves a cluster in a report: no secrets and no addresses, but one stand-in for each address."""

import hashlib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

SECRET_KEY = re.compile(r"(password|passwd|secret|token|authorization|api[-_]?key|private[-_]?key)$", re.IGNORECASE)
SECRET_TEXT = re.compile(
    r"(?i)(bearer\s+)[\w.~+/=-]+|((?:password|token|secret|api[-_]?key)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;]+"
)
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
MAYBE_ADDRESS = re.compile(
    r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:])"
)
CLUTTER = ("managedFields", "kubectl.kubernetes.io/last-applied-configuration", "sentinel.io/good-template")
GONE = "REDACTED"


class Redactor:
    """`salt` keeps the stand-ins of two reports apart; within one they can be compared."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def text(self, text: str) -> str:
        text = PRIVATE_KEY.sub(GONE, text)
        text = SECRET_TEXT.sub(lambda found: f"{found[1] or found[2]}{GONE}", text)
        return MAYBE_ADDRESS.sub(self._address, text)

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                name: GONE if SECRET_KEY.search(name) and isinstance(inner, str) and inner else self.value(inner)
                for name, inner in value.items()
                if name not in CLUTTER
            }
        if isinstance(value, Sequence):
            return [self.value(inner) for inner in value]
        return value

    def _address(self, found: re.Match[str]) -> str:
        """What only looks like an address (a time, a version) stays; so do the addresses that are everybody's."""
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]
        if address.is_loopback or address.is_unspecified:
            return found[0]
        return f"address-{hashlib.blake2s(address.packed, key=self._salt, digest_size=4).hexdigest()}"
