"""What is in an image, as CycloneDX: the Python packages that uv.lock names and the distribution's own.

    python3 sbom.py UV_EXPORT NAME VERSION > sbom.cdx.json      (inside the image that it describes)

The same image gives the same bytes: what uv writes of the hour and by chance is left out. Only the standard library.
"""

import json
import subprocess
import sys
from pathlib import Path

FIELDS = "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"


def system_packages() -> list[dict[str, str]]:
    told = subprocess.run(["dpkg-query", "-W", "-f", FIELDS], check=True, capture_output=True, text=True).stdout
    rows = sorted(tuple(line.split("\t")) for line in told.splitlines())
    return [
        {
            "type": "library",
            "bom-ref": f"deb-{name}",
            "name": name,
            "version": version,
            "purl": f"pkg:deb/debian/{name}@{version}?arch={architecture}",
        }
        for name, version, architecture, state in rows
        if state == "installed"
    ]


def bill(exported: dict[str, object], name: str, version: str) -> dict[str, object]:
    python = exported["components"]
    assert isinstance(python, list), "uv's export holds a list of components"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name, "version": version}},
        "components": [*python, *system_packages()],
    }


def main() -> None:
    exported, name, version = sys.argv[1:]
    json.dump(bill(json.loads(Path(exported).read_text()), name, version), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
