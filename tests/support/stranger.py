"""Somebody on the mesh who says what nobody can read, until it is killed: `python -m support.stranger ENDPOINT KEY`."""

from __future__ import annotations

import json
import sys
import time

import zenoh

PAUSE_S = 0.1


def main(endpoint: str, key: str) -> None:
    config = zenoh.Config()
    config.insert_json5("mode", '"client"')
    config.insert_json5("connect/endpoints", json.dumps([endpoint]))
    with zenoh.open(config) as session:
        while True:
            session.put(key, b"garbage")
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
