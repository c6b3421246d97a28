"""The keys of one test cluster: a root, the API server's certificate, and the key that signs service accounts."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = dt.timedelta(days=30)
# The machine's clock may step back after the keys were made.
BACKDATED = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pki:
    """Where each file of the cluster's keys lies."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def serving(self) -> Path:
        return self.folder / "apiserver.crt"

    @property
    def serving_key(self) -> Path:
        return self.folder / "apiserver.key"

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts.pub"

    @property
    def accounts_key(self) -> Path:
        return self.folder / "accounts.key"


def create(folder: Path, names: Sequence[str]) -> Pki:
    """`names`: the host names and addresses under which clients reach the API server."""
    folder.mkdir(parents=True, exist_ok=True)
    pki = Pki(folder)
    root_key, serving_key, accounts_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root_name = _name("sentinel test root")
    root = (
        _certificate(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    serving = (
        _certificate(_name("kube-apiserver"), root_name, serving_key.public_key())
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pki.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    pki.serving.write_bytes(serving.public_bytes(serialization.Encoding.PEM))
    _write_key(pki.serving_key, serving_key)
    _write_key(pki.accounts_key, accounts_key)
    pki.accounts.write_bytes(
        accounts_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return pki


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
