"""A small certificate authority for the lab and the tests: in a cluster cert-manager or the chart takes its place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sentinel_mesh.credentials import Credentials

if TYPE_CHECKING:
    from pathlib import Path

DAY: Final = timedelta(days=1)


class Authority:
    """Its certificate is `ca.crt` in the folder; a node's common name is the node's name, and nothing else is asked."""

    def __init__(self, folder: Path, name: str = "lab") -> None:
        self._folder, self._name, self._key = folder, _named(name), ec.generate_private_key(ec.SECP256R1())
        self._begin = datetime.now(UTC) - DAY
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        own = self._signed(self._name, self._key.public_key(), 30 * DAY).add_extension(constraints, critical=True)
        self._root = folder / "ca.crt"
        self._root.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, node: str, valid: timedelta = DAY, file: str = "") -> Credentials:
        """Valid from a day ago until `valid` from now; a negative one has expired. Overwrites what the file held."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        names = x509.SubjectAlternativeName([x509.DNSName(node)])
        made = self._signed(_named(node), key.public_key(), valid).add_extension(usage, critical=False)
        signed = made.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        own = Credentials(self._root, self._folder / f"{file or node}.crt", self._folder / f"{file or node}.key")
        own.key.touch(mode=0o600)
        own.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        own.certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        return own

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begin)
            .not_valid_after(datetime.now(UTC) + valid)
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
