"""The mesh's certificate authority: what it believes, and what it signs. Its key comes from a Secret mounted here.

`python -m sentinel_operator.authority` makes that Secret where there is none: the chart runs it once, as a Job.
"""

import asyncio
import base64
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from sentinel_api.errors import Invalid, SentinelError
from sentinel_mesh.certificates import common_name, named
from sentinel_operator import cluster
from sentinel_operator.objects import Manifest

SECRET = "sentinel-mesh-authority"  # noqa: S105  its name
CERTIFICATE, KEY, TRUSTED = "tls.crt", "tls.key", "trusted.crt"
AUTHORITY_LIFE = timedelta(days=3650)
LIFE = timedelta(hours=72)  # renewed after 48: an operator may be away for a day, and a stolen key is soon worthless
BACKDATED = timedelta(minutes=5)  # clocks of nodes differ


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request for a certificate asks for, after its signature was checked: so whoever asks has the key."""

    name: str
    key: ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Authority:
    """`folder` is where the Secret is mounted; read each time, for it may be renewed."""

    folder: Path

    def trust(self) -> str:
        """Whose certificates are believed, in PEM: first the one that signs, then any that `trusted.crt` adds."""
        also = self.folder / TRUSTED
        return self._read(CERTIFICATE).decode() + (also.read_text() if also.exists() else "")

    def sign(self, wish: Wish, now: datetime) -> bytes:
        """A certificate for exactly that name, usable at both ends of a connection, and for nothing else."""
        own = self.certificate()
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        made = (
            _begun(wish.key, now)
            .subject_name(named(wish.name))
            .issuer_name(own.subject)
            .not_valid_after(min(now + LIFE, own.not_valid_after_utc))
            .add_extension(usage, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(wish.name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        return made.sign(self.key(), hashes.SHA256()).public_bytes(Encoding.PEM)

    def certificate(self) -> x509.Certificate:
        return _certificate(self._read(CERTIFICATE))

    def key(self) -> ec.EllipticCurvePrivateKey:
        return _key(self._read(KEY))

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise Invalid(
                f"{self.folder / name} cannot be read ({error.strerror}): mount the Secret {SECRET} there"
            ) from error


def wish(pem: bytes) -> Wish:
    """Raises Invalid, with the way out, for a request that cannot be granted whatever it is about."""
    try:
        asked = x509.load_pem_x509_csr(pem)
        key = asked.public_key()
        proven = asked.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Invalid(f"this is no certificate request in PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Invalid("the mesh signs keys of the curve P-256 only: make such a key")
    if not proven:
        raise Invalid("the request is not signed by its own key")
    if not (name := common_name(asked.subject)):
        raise Invalid("the subject of the request must be the common name of the node and nothing else")
    return Wish(name, key)


def founded(now: datetime) -> Mapping[str, bytes]:
    """A new authority, as the Secret holds it; its name is its own, so that two of them are told apart."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = _self_signed(key, named(f"sentinel-mesh-{secrets.token_hex(4)}"), now)
    return {CERTIFICATE: own, KEY: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())}


def secret(namespace: str, now: datetime) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": SECRET,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/part-of": "sentinel"},
        },
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value).decode() for name, value in founded(now).items()},
    }


def _self_signed(key: ec.EllipticCurvePrivateKey, name: x509.Name, now: datetime) -> bytes:
    made = (
        _begun(key.public_key(), now)
        .subject_name(name)
        .issuer_name(name)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _begun(key: ec.EllipticCurvePublicKey, now: datetime) -> x509.CertificateBuilder:
    made = x509.CertificateBuilder().public_key(key).serial_number(x509.random_serial_number())
    return made.not_valid_before(now - BACKDATED)


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise Invalid(f"{CERTIFICATE} of the Secret {SECRET} is no certificate in PEM: {error}") from error


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        found = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(f"{KEY} of the Secret {SECRET} is no open key in PEM: {error}") from error
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise Invalid(f"{KEY} of the Secret {SECRET} must be an elliptic-curve key")
    return found


async def _found(namespace: str) -> None:
    """One that is there already stays: so this may run again."""
    async with cluster.connected() as api:
        await api.create(secret(namespace, datetime.now(UTC)))


def main() -> int:
    try:
        asyncio.run(_found(os.environ.get("SENTINEL_NAMESPACE", "sentinel-system")))
    except SentinelError as error:
        sys.stderr.write(f"sentinel_operator.authority: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
