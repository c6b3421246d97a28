"""The kernel's rule table: a whole set is written beside the one in use, then one store makes it the one in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_api.errors import Invalid

from . import layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_core.rules import Rule

    from .object import Object

ALL_PORTS = (0, 65_535)


class RuleSet:
    """Of a loaded agent or balancer. No packet is ever classified by half a set."""

    def __init__(self, loaded: Object) -> None:
        self._head = loaded.map("sn_rules_head").view(writable=True)
        self._table = loaded.map("sn_rules").view(writable=True)
        self._bits = layout.constants(loaded.path, "sn_rule_check")
        self._bank = layout.constants(loaded.path, "sn_rules_const")["SN_RULES"]

    @property
    def generation(self) -> int:
        """Grows with each replacement; 0 means that no set was ever loaded and everything is unmatched."""
        return int(self._head["generation"][0])

    def replace(self, rules: Sequence[Rule]) -> int:
        """The generation that is in force afterwards; flows classified by an older one are looked at anew."""
        if len(rules) > self._bank:
            raise Invalid(f"{len(rules)} rules do not fit the table of {self._bank}: use fewer match entries")
        generation = self.generation + 1
        if generation >= 1 << 32:  # 0 would mean "no rules"; keep the parity, which names the bank
            generation = 2 - generation % 2
        start = (generation & 1) * self._bank
        self._table[start : start + len(rules)] = self._records(rules)
        self._head["count_odd" if generation & 1 else "count_even"][0] = len(rules)
        self._head["generation"][0] = generation
        return generation

    def _records(self, rules: Sequence[Rule]) -> np.ndarray[Any, np.dtype[Any]]:
        records = np.zeros(len(rules), self._table.dtype)
        for record, rule in zip(records, rules, strict=True):
            for end in ("source", "destination"):
                covered, ports = getattr(rule, end), getattr(rule, f"{end}_ports") or ALL_PORTS
                record[end] = np.frombuffer(covered.address, np.uint8)
                record[f"{end}_mask"] = np.frombuffer(covered.mask, np.uint8)
                record[f"{end}_port_min"], record[f"{end}_port_max"] = ports
            record["class_id"] = rule.class_id
            record["protocol"] = rule.protocol or 0
            record["dscp"] = rule.dscp or 0
            record["checks"] = self._checks(rule)
        return records

    def _checks(self, rule: Rule) -> int:
        looked_at = {
            "SN_RULE_PROTOCOL": rule.protocol is not None,
            "SN_RULE_DSCP": rule.dscp is not None,
            "SN_RULE_PORTS": rule.source_ports is not None or rule.destination_ports is not None,
        }
        return sum(self._bits[name] for name, wanted in looked_at.items() if wanted)
