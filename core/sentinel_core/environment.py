"""What processes read from their environment, checked: the answer to a mistake is a sentence that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

LEVELS: Final = {"Debug": 10, "Info": 20, "Warning": 30, "Error": 40}


def port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, str(default))
    if not text.isdecimal() or int(text) >= 65_536:
        raise Invalid(f"{name} is {text!r}: use a port up to 65535 (0 takes any that is free)")
    return int(text)


def log_level(env: Mapping[str, str]) -> int:
    level = env.get("SENTINEL_LOG_LEVEL", "Info")
    if level not in LEVELS:
        raise Invalid(f"SENTINEL_LOG_LEVEL is {level!r}: use one of {', '.join(LEVELS)}")
    return LEVELS[level]
