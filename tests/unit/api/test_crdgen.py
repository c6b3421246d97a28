"""The generator: what is in the tree follows from the models, and what a CRD cannot carry is refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel_api import crdgen, structural
from sentinel_api.errors import Invalid

ROOT = Path(__file__).resolve().parents[3]
GOOD = {"type": "string", "maxLength": 5, "description": "Text."}


def test_the_tree_holds_what_the_models_say():
    crdgen.check(ROOT)


def test_a_generated_file_that_somebody_edited_is_called_stale(tmp_path):
    crdgen.write(tmp_path)
    crdgen.check(tmp_path)
    edited = tmp_path / "crds" / "sentinel.io_buffernodes.yaml"
    edited.write_text(edited.read_text().replace("bufn", "bn"))
    with pytest.raises(Invalid, match=r"^crds/sentinel.io_buffernodes.yaml: stale; run"):
        crdgen.check(tmp_path)
    assert crdgen.write(tmp_path) == (edited,)


def test_a_second_run_writes_nothing(tmp_path):
    assert crdgen.write(tmp_path)
    assert crdgen.write(tmp_path) == ()


def test_the_order_of_hashes_does_not_show(tmp_path):
    """Two interpreters with different hash seeds write the same bytes."""
    texts = []
    for seed in ("1", "2"):
        code = f"from sentinel_api import crdgen; from pathlib import Path; crdgen.write(Path({str(tmp_path)!r}))"
        subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONHASHSEED": seed}, timeout=60)
        texts.append([path.read_bytes() for path in sorted(tmp_path.rglob("*.*"))])
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
    assert texts[0] == texts[1]


def test_an_unknown_argument_is_answered_with_the_usage(capsys):
    assert crdgen.main(["--chekc"]) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "give the field one type that a CRD knows"),
        ({"$ref": "#/$defs/X"}, "give the field one type that a CRD knows"),
        ({"type": "number"}, "give the field one type that a CRD knows"),
        ({"type": ["string", "null"]}, "give the field one type that a CRD knows"),
        (GOOD | {"const": "a"}, "a CRD cannot carry const"),
        (GOOD | {"oneOf": []}, "a CRD cannot carry oneOf"),
        ({"type": "integer", "maximum": 5, "exclusiveMinimum": 1}, "a CRD cannot carry exclusiveMinimum"),
        ({"type": "array", "maxItems": 2, "uniqueItems": True, "items": GOOD}, "a CRD cannot carry uniqueItems"),
        ({"type": "array", "maxItems": 2, "prefixItems": []}, "a CRD cannot carry prefixItems"),
        ({"type": "object", "patternProperties": {}}, "a CRD cannot carry patternProperties"),
        ({"type": "object", "properties": {}, "additionalProperties": GOOD}, "properties or additionalProperties"),
        ({"type": "array", "items": GOOD}, "bound it by one of maxItems"),
        ({"type": "string"}, "bound it by one of enum, maxLength"),
        ({"type": "integer"}, "bound it by one of enum, maximum"),
        (GOOD | {"format": "date-time"}, "a CRD cannot carry format"),
        (GOOD | {"description": ""}, "describe it for its users"),
    ],
)
def test_what_a_crd_cannot_carry_is_refused_by_name(schema, sentence):
    described = {"description": "Something."} | schema
    with pytest.raises(Invalid, match=r"^\.spec\.x: ") as caught:
        structural.checked({"type": "object", "description": "All.", "properties": {"x": described}}, ".spec")
    assert sentence in str(caught.value)


def test_a_rule_about_change_inside_a_list_is_refused():
    rule = {"rule": "self == oldSelf", "message": "stays"}
    items = {"type": "object", "properties": {}, "x-kubernetes-validations": [rule]}
    schema = {"type": "array", "maxItems": 2, "items": items, "description": "Things."}
    with pytest.raises(Invalid, match="items of a list have no old value"):
        structural.checked(schema, ".spec.things")
