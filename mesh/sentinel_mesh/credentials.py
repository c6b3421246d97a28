"""Who this node is to the others: its certificate, its key, and the authority that all of them believe."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = {"ca": "SENTINEL_MESH_CA", "certificate": "SENTINEL_MESH_CERT", "key": "SENTINEL_MESH_KEY"}
ENROL: Final = "SENTINEL_MESH_ENROL"
CURRENT: Final = "current"
"""A link in the folder of an enrolled member: key and certificate change together or not at all."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files in PEM, as cert-manager mounts them. The certificate's common name is the node's name."""

    ca: Path
    certificate: Path
    key: Path
    enrolled: Path | None = None
    """The folder where this process itself puts what the cluster signs for it; None where others bring the files."""

    @classmethod
    def enrolled_in(cls, folder: Path, ca: Path) -> Credentials:
        return cls(ca, folder / CURRENT / "tls.crt", folder / CURRENT / "tls.key", folder)

    def present(self) -> bool:
        return self.certificate.exists() and self.key.exists()

    def digest(self) -> str:
        """Changes when any of them was renewed. Raises Invalid for one that cannot be read."""
        found = hashlib.sha256()
        for path in (self.ca, self.certificate, self.key):
            found.update(read(path, "certificate"))
        return found.hexdigest()

    def swap(self, certificate: bytes, key: bytes) -> None:
        """Puts both in the place of the old ones at one instant. For enrolled members."""
        if self.enrolled is None:
            raise Invalid(f"{self.certificate} is brought by somebody else: only an enrolled member writes its own")
        link = self.enrolled / CURRENT
        fresh = self.enrolled / f"{time.time_ns()}"
        fresh.mkdir(mode=0o700)
        kept = {fresh.resolve(), link.resolve()}  # whoever reads the old ones at this instant may go on
        (fresh / "tls.key").touch(mode=0o600)
        (fresh / "tls.key").write_bytes(key)
        (fresh / "tls.crt").write_bytes(certificate)
        aside = self.enrolled / f"{CURRENT}.new"
        aside.unlink(missing_ok=True)
        aside.symlink_to(fresh.name)
        aside.replace(link)
        for each in self.enrolled.iterdir():
            if not each.is_symlink() and each.resolve() not in kept:
                shutil.rmtree(each)


def read(path: Path, what: str) -> bytes:
    """Raises Invalid with the name of the file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path} cannot be read ({error.strerror}): mount the mesh's {what} there") from error


def credentials(env: Mapping[str, str]) -> Credentials | None:
    """From the environment: all three files, an authority and a folder to enrol in, or none for a mesh in the clear."""
    given = {field: env.get(variable, "") for field, variable in VARIABLES.items()}
    if folder := env.get(ENROL, ""):
        if not given["ca"] or given["certificate"] or given["key"]:
            raise Invalid(f"{ENROL} goes with SENTINEL_MESH_CA, without _CERT and _KEY: those are made in its folder")
        return Credentials.enrolled_in(Path(folder), Path(given["ca"]))
    if not any(given.values()):
        return None
    missing = [VARIABLES[field] for field, path in given.items() if not path]
    if missing:
        raise Invalid(f"{' and '.join(missing)} must be set too: a secured mesh needs authority, certificate and key")
    return Credentials(**{field: Path(path) for field, path in given.items()})
