"""Who this node is to the others: its certificate, its key, and the authority that all of them believe."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = {"ca": "SENTINEL_MESH_CA", "certificate": "SENTINEL_MESH_CERT", "key": "SENTINEL_MESH_KEY"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files in PEM, as cert-manager mounts them. The certificate's common name is the node's name."""

    ca: Path
    certificate: Path
    key: Path

    def digest(self) -> str:
        """Changes when any of them was renewed. Raises Invalid for one that cannot be read."""
        found = hashlib.sha256()
        for path in (self.ca, self.certificate, self.key):
            try:
                found.update(path.read_bytes())
            except OSError as error:
                raise Invalid(
                    f"{path} cannot be read ({error.strerror}): mount the mesh's certificate there"
                ) from error
        return found.hexdigest()


def credentials(env: Mapping[str, str]) -> Credentials | None:
    """From the environment: all three files, or none for a mesh in the clear."""
    given = {field: env.get(variable, "") for field, variable in VARIABLES.items()}
    if not any(given.values()):
        return None
    missing = [VARIABLES[field] for field, path in given.items() if not path]
    if missing:
        raise Invalid(f"{' and '.join(missing)} must be set too: a secured mesh needs authority, certificate and key")
    return Credentials(**{field: Path(path) for field, path in given.items()})
