"""A member makes its key itself, gets a certificate for it, and asks again in time: values, and a fake cluster."""

import base64
import stat
from datetime import UTC, datetime, timedelta

import pytest

from sentinel_api.errors import Invalid, Transient
from sentinel_api.names import MESH_SIGNER
from sentinel_mesh import certificates, enrolment
from sentinel_mesh.credentials import Credentials, credentials
from sentinel_mesh.enrolment import REQUESTS, Enrolment
from sentinel_operator import authority
from sentinel_operator.authority import LIFE, Authority

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def folder_of(path, now=NOW):
    """A folder as the Secret is mounted."""
    path.mkdir(exist_ok=True)
    for name, value in authority.founded(now).items():
        (path / name).write_bytes(value)
    return Authority(path)


class Cluster:
    """Grants every request, or answers with the condition that it is given."""

    def __init__(self, signer, now=NOW):
        self.signer, self.now = signer, now
        self.asked, self.status = [], None

    def create(self, path, body):
        assert path == REQUESTS
        self.asked.append(body)
        return {"metadata": {"name": f"{body['metadata']['generateName']}x"}}

    def get(self, path):
        assert path.startswith(f"{REQUESTS}/sentinel-mesh-n1-")
        if self.status is not None:
            return {"status": self.status}
        wish = authority.wish(base64.b64decode(self.asked[-1]["spec"]["request"]))
        return {"status": {"certificate": base64.b64encode(self.signer.sign(wish, self.now)).decode()}}


@pytest.fixture
def signer(tmp_path):
    return folder_of(tmp_path / "authority")


@pytest.fixture
def own(tmp_path, signer):
    (tmp_path / "own").mkdir()
    ca = tmp_path / "ca.crt"
    ca.write_text(signer.trust())
    return Credentials.enrolled_in(tmp_path / "own", ca)


@pytest.fixture
def cluster(signer):
    return Cluster(signer)


@pytest.fixture
def member(own, cluster, monkeypatch):
    monkeypatch.setattr(enrolment, "ASK_AGAIN_S", 0.0)
    return Enrolment(own, "n1", cluster)


def test_a_member_asks_for_its_own_name_and_keeps_its_key_to_itself(member, own, cluster):
    assert not own.present()
    assert member.look(NOW)
    spec = cluster.asked[0]["spec"]
    assert spec["signerName"] == MESH_SIGNER
    assert certificates.common_name(certificates.certificate(own.certificate.read_bytes()).subject) == "n1"
    assert own.key.read_bytes() not in base64.b64decode(spec["request"])
    assert stat.S_IMODE(own.key.stat().st_mode) == 0o600


def test_it_asks_again_when_two_thirds_of_the_life_are_over_and_not_before(member, cluster):
    member.look(NOW)
    assert not member.look(NOW + LIFE * 0.6)
    cluster.now = NOW + LIFE * 0.7
    assert member.look(cluster.now)
    assert not member.look(cluster.now)


@pytest.mark.parametrize(("past", "left"), [(0.0, 1.0), (0.75, 0.25), (1.5, -0.5)])
def test_how_much_of_its_life_is_left_is_known(member, own, cluster, past, left):
    member.look(NOW)
    told = certificates.left(own.certificate.read_bytes(), NOW + past * LIFE)
    assert told == pytest.approx(left, abs=0.01)


def test_key_and_certificate_change_together_and_the_last_ones_stay_readable(member, own, cluster):
    member.look(NOW)
    before, old = own.key.read_bytes(), own.key.resolve()
    cluster.now = NOW + LIFE
    member.look(cluster.now)
    assert own.key.read_bytes() != before
    assert old.read_bytes() == before
    cluster.now = NOW + 2 * LIFE
    member.look(cluster.now)
    assert not old.exists(), "keys must not pile up"


def test_another_authority_means_another_certificate_at_once(member, own, cluster, tmp_path):
    member.look(NOW)
    cluster.signer = folder_of(tmp_path / "next")
    own.ca.write_text(cluster.signer.trust() + own.ca.read_text())
    assert member.look(NOW)
    assert not member.look(NOW)


def test_an_authority_renewed_under_its_key_asks_for_nothing(member, own, signer):
    """As cert-manager does it: what was signed before stays good."""
    member.look(NOW)
    renewed = authority._self_signed(signer.key(), signer.certificate().subject, NOW + timedelta(days=1))
    own.ca.write_bytes(renewed)
    assert not member.look(NOW)


def test_a_refusal_is_told_in_the_words_of_who_refused(member, cluster):
    cluster.status = {"conditions": [{"type": "Denied", "message": "the token runs on node n2"}]}
    with pytest.raises(Invalid, match="the token runs on node n2"):
        member.look(NOW)


def test_nobody_who_answers_is_waited_for_once_and_asked_again_later(member, cluster, monkeypatch):
    monkeypatch.setattr(enrolment, "ANSWER_S", 0.05)
    cluster.status = {}
    with pytest.raises(Transient, match="look whether the operator runs"):
        member.look(NOW)


def test_a_name_that_no_certificate_can_carry_is_one_sentence():
    with pytest.raises(Invalid, match="1 to 64"):
        certificates.request("n" * 65)


def test_enrolment_is_chosen_by_a_folder_and_excludes_files(tmp_path):
    env = {"SENTINEL_MESH_CA": "/c/ca.crt", "SENTINEL_MESH_ENROL": str(tmp_path)}
    found = credentials(env)
    assert (found.enrolled, found.key.parent.name) == (tmp_path, "current")
    with pytest.raises(Invalid, match="SENTINEL_MESH_ENROL"):
        credentials(env | {"SENTINEL_MESH_KEY": "/c/tls.key"})
    with pytest.raises(Invalid, match="SENTINEL_MESH_ENROL"):
        credentials({"SENTINEL_MESH_ENROL": str(tmp_path)})
