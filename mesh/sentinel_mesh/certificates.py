"""A node's key and certificate as values: making a key, asking for a signature, knowing when to ask again.

The key is made where it is used and never leaves the process but for its own file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from datetime import datetime

NAME_MAX: Final = 64
"""What a common name may hold."""


@dataclass(frozen=True, slots=True)
class Request:
    """Both in PEM; `key` belongs to nobody else."""

    key: bytes
    request: bytes


def named(name: str) -> x509.Name:
    """Raises Invalid for a name that no certificate can carry."""
    if not 0 < len(name) <= NAME_MAX:
        raise Invalid(f"{name!r} fits in no certificate: a member of a secured mesh needs a name of 1 to {NAME_MAX}")
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def common_name(subject: x509.Name) -> str:
    """Empty unless it is all that the subject says."""
    found = list(subject)
    only = len(found) == 1 and found[0].oid == NameOID.COMMON_NAME
    return str(found[0].value) if only else ""


def request(name: str) -> Request:
    """A new key each time, so that one that leaked is worth little for long."""
    key = ec.generate_private_key(ec.SECP256R1())
    asked = x509.CertificateSigningRequestBuilder().subject_name(named(name)).sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Request(secret, asked.public_bytes(Encoding.PEM))


def certificate(pem: bytes) -> x509.Certificate:
    """The first in it. Raises Invalid for what is none."""
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError as error:
        raise Invalid(f"this is no certificate in PEM: {error}") from error


def left(pem: bytes, now: datetime) -> float:
    """Share of its life that is still to come; below 0 once it has ended."""
    own = certificate(pem)
    return (own.not_valid_after_utc - now) / (own.not_valid_after_utc - own.not_valid_before_utc)


def renewal(pem: bytes, authorities: bytes) -> datetime:
    """When two thirds of its life are over; its beginning, so at once, when the authority of today did not sign it.

    The authority of today is the first in `authorities`; those after it are believed, and sign nothing any more.
    """
    own, authority = certificate(pem), certificate(authorities)
    begin, end = own.not_valid_before_utc, own.not_valid_after_utc
    try:
        own.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return begin
    return begin + (end - begin) * 2 / 3
