"""Reading a record strictly, and what of it may be logged."""

import json

import pytest

from app.decision_record import DecisionRecord, read_record
from serfiq_core.errors import RecordError
from serfiq_core.types import ScoredIn
from tests.records import LOW_QUALITY, SOUND, record


@pytest.mark.parametrize(
    "document",
    [
        SOUND,
        {"decision_record": SOUND},
        {"file": "photo.jpg", "raw_score": 1, "decision_record": SOUND},
    ],
)
def test_a_record_is_read_alone_and_in_an_answer(document):
    assert read_record(json.dumps(document)) == record()


def test_it_comes_back_as_it_was_written():
    written = record(raw_score=0.1 + 0.2, batch_index=3)
    assert read_record(written.model_dump_json()) == written
    assert read_record(json.dumps(written.model_dump(mode="json"))) == written


def test_the_command_line_has_no_request():
    without = {name: value for name, value in SOUND.items() if name != "request_id"}
    assert read_record(json.dumps(without)).request_id is None


def test_older_records_tell_of_no_place_in_a_batch():
    without = {name: value for name, value in SOUND.items() if name != "item"}
    assert read_record(json.dumps(without)) == record(item=None)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        (f"{json.dumps(SOUND)}\n{json.dumps(SOUND)}", "of several lines give one"),
        ("[1]", "no JSON object"),
        ("{}", "the members are: none"),
        ('{"type": "urn:serfiq:problem:overloaded"}', "no decision record here"),
        ('{"decision_record": 3}', "no decision record here"),
        ("9" * 5000, "no JSON"),
    ],
)
def test_what_is_no_record_is_said_to_be_none(text, complaint):
    with pytest.raises(RecordError, match=complaint):
        read_record(text)


def test_a_record_of_an_older_schema_is_told_by_its_version():
    first = {k: SOUND[k] for k in ("request_id", "time", "pack", "pack_checksum", "estimator")}
    with pytest.raises(RecordError, match=r"of version 1, and this software reads version 2"):
        read_record(json.dumps(first))
    with pytest.raises(RecordError, match="of version 3"):
        read_record(json.dumps({**SOUND, "record_version": 3}))


@pytest.mark.parametrize("name", sorted(SOUND.keys() - {"record_version", "request_id", "item"}))
def test_each_missing_field_is_named(name):
    damaged = {key: value for key, value in SOUND.items() if key != name}
    with pytest.raises(
        RecordError, match=name if name != "pack_checksum" else "no decision record"
    ):
        read_record(json.dumps(damaged))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("raw_score", "high"),
        ("verdict", "perhaps"),
        ("passes", 1.5),
        ("image_sha256", "abc"),
        ("batch_size", 0),
        ("batch_size", 10**9),
        ("batch_size", None),
        ("batch_index", 4),
        ("threads", -1),
        ("reasons", [{"code": "ugly", "value": 1, "limit": 2}]),
        ("time", "yesterday"),
    ],
)
def test_each_damaged_field_is_refused(name, value):
    with pytest.raises(RecordError, match="the record is damaged: .*" + name.split("_")[0]):
        read_record(json.dumps({**SOUND, name: value}))


def test_without_a_face_there_is_no_place_in_a_batch():
    nobody = record(batch_size=None, batch_index=None, threads=None)
    assert nobody.scored_in == ScoredIn()
    assert record().scored_in == ScoredIn(4, 2, 1)


def test_the_log_has_the_decision_and_nothing_to_find_the_photograph_by():
    logged = record().for_log()
    assert logged.keys() == DecisionRecord.model_fields.keys() - {
        "time",
        "image_sha256",
        "raw_score",
        "mean_distance",
    }
    assert logged["quality_score"] == 12.3
    assert logged["reasons"] == [{**LOW_QUALITY, "value": 12.3}]
    text = json.dumps(logged)
    assert not [digits for digits in ("12.34", "0.812", "0.381", "aaaa") if digits in text]
    assert record(quality_score=None).for_log()["quality_score"] is None
