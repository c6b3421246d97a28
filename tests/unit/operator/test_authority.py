"""The mesh's authority signs what it was asked for by the owner of a key, for a node, and nothing beyond."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sentinel_api.errors import Invalid
from sentinel_mesh import certificates
from sentinel_operator import authority
from sentinel_operator.authority import LIFE, Authority

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CN, ORG = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME


@pytest.fixture
def signer(tmp_path):
    for name, value in authority.founded(NOW).items():
        (tmp_path / name).write_bytes(value)
    return Authority(tmp_path)


def request(*subject, key=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_what_is_signed_names_one_node_for_three_days_and_signs_nothing_itself(signer):
    asked = certificates.request("n1")
    made = certificates.certificate(signer.sign(authority.wish(asked.request), NOW))
    made.verify_directly_issued_by(certificates.certificate(signer.trust().encode()))
    assert certificates.common_name(made.subject) == "n1"
    assert made.not_valid_after_utc == NOW + LIFE
    extensions = made.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(uses) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_no_certificate_outlives_its_authority(signer):
    last = certificates.certificate(signer.trust().encode()).not_valid_after_utc
    made = signer.sign(authority.wish(certificates.request("n1").request), last - timedelta(hours=1))
    assert certificates.certificate(made).not_valid_after_utc == last


def test_who_else_is_believed_comes_after_who_signs(signer):
    (signer.folder / "trusted.crt").write_bytes(authority.founded(NOW)["tls.crt"])
    first, second = (each.subject for each in x509.load_pem_x509_certificates(signer.trust().encode()))
    assert first == signer.certificate().subject
    assert first != second, "two authorities must be told apart by name"


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        pytest.param(b"garbage", "no certificate request", id="garbage"),
        pytest.param(request((CN, "n1"), (ORG, "system:masters")), "nothing else", id="more than a name"),
        pytest.param(request(), "nothing else", id="no name"),
        pytest.param(
            request((CN, "n1"), key=rsa.generate_private_key(public_exponent=65537, key_size=2048)), "P-256", id="RSA"
        ),
    ],
)
def test_what_cannot_be_granted_is_one_sentence(pem, said):
    with pytest.raises(Invalid, match=said):
        authority.wish(pem)


def test_a_key_that_the_asker_does_not_have_is_not_signed():
    theirs, own = certificates.request("n1").request, certificates.request("n2").request
    forged = bytearray(x509.load_pem_x509_csr(theirs).public_bytes(Encoding.DER))
    forged[-1] ^= 1
    again = x509.load_der_x509_csr(bytes(forged)).public_bytes(Encoding.PEM)
    with pytest.raises(Invalid, match="not signed by its own key"):
        authority.wish(again)
    assert authority.wish(own).name == "n2"


def test_a_secret_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(Invalid, match="mount the Secret"):
        Authority(tmp_path).trust()
