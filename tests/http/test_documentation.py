"""`/docs` and the OpenAPI document: complete, true, and without the network."""

import re
from typing import Any, get_args
from urllib.parse import parse_qs, urljoin

import httpx
import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

from app.capture_body import IMAGE_MEDIA_TYPES
from app.commands.sample import sample
from app.error_responses import _headers
from app.example_answer import EXAMPLE_ANSWER, EXAMPLE_QUERY
from app.openapi import in_openapi_3_0
from app.problems import PROBLEMS, kind_of
from app.schemas import Extra
from serfiq_core.errors import OverloadedError
from serfiq_core.one_subject.comparison import NoBest
from serfiq_core.types import ComponentName, ReasonCode, ReasonKind
from tests.http.service import blank_capture, random_capture
from tests.records import recorded


@pytest.fixture(scope="module")
def document(service):
    return service.get("/openapi.json").json()


def test_the_index_leads_to_the_documentation(service):
    response = service.get("/")
    assert response.status_code == 307
    assert service.get("/" + response.headers["location"]).status_code == 200


def test_the_page_needs_no_other_host(service):
    page = service.get("/docs").text
    addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page)
    found = [first or second for first, second in addresses]
    assert len(found) == 4
    for address in found:
        assert not address.startswith(("http", "/"))
        response = service.get(f"/{address}")
        assert response.status_code == 200
        assert response.content
    assert '"validatorUrl": null' in page
    assert '<html lang="en">' in page


@pytest.mark.parametrize("name", ["../../__init__.py", "..%2F..%2F__init__.py", "index.html", "x"])
def test_no_other_file_is_served(service, name):
    assert service.get(f"/docs/assets/{name}").status_code in (404, 422)


def test_all_three_body_forms_are_documented(document):
    body = document["paths"]["/quality"]["post"]["requestBody"]
    assert body["required"]
    assert set(body["content"]) == {"multipart/form-data", "application/json", *IMAGE_MEDIA_TYPES}


@pytest.mark.parametrize("path", ["/quality", "/quality/batch"])
def test_what_is_looked_at_beside_a_capture_is_documented(document, path):
    operation = document["paths"][path]["post"]
    schemes = document["components"]["securitySchemes"]
    named = [name for requirement in operation["security"] for name in requirement]
    assert sorted(named) == sorted(schemes) == ["APIKeyHeader", "HTTPBearer"]
    places = {parameter["name"]: parameter["in"] for parameter in operation["parameters"]}
    assert places["accept-language"] == places["x-request-id"] == "header"
    assert places["profile"] == places["include"] == "query"


def test_headers_of_answers_are_documented(service, document):
    for path, method in (("/quality", "post"), ("/model", "get"), ("/livez", "get")):
        for response in document["paths"][path][method]["responses"].values():
            assert "X-Request-ID" in response["headers"]
    documented = document["paths"]["/quality"]["post"]["responses"]["200"]["headers"]
    assert {name.lower() for name in documented} <= service.assess(random_capture()).headers.keys()
    assert {"Content-Language", "Vary"} <= documented.keys()


def test_the_example_is_what_the_document_says(document):
    schema = document["components"]["schemas"]["QualityAnswer"]
    validator = OAS30Validator({**schema, "components": document["components"]})
    assert not list(validator.iter_errors(schema["example"]))
    assert schema["example"] == EXAMPLE_ANSWER


def test_the_example_is_what_is_answered(real_service, tmp_path):
    portrait = tmp_path / "portrait.jpg"
    sample(portrait)
    answer = real_service.assess(portrait.read_bytes(), **parse_qs(EXAMPLE_QUERY)).json()
    assert answer.keys() == EXAMPLE_ANSWER.keys()
    record, expected = answer["decision_record"], EXAMPLE_ANSWER["decision_record"]
    assert record.keys() == expected.keys()
    for name in ("pack", "pack_version", "pack_checksum", "calibration", "detector", "seed"):
        assert record[name] == expected[name]
    assert answer["quality_score"] == pytest.approx(EXAMPLE_ANSWER["quality_score"], abs=3)
    for estimator in ("sampled", "closed_form"):
        distance = EXAMPLE_ANSWER[estimator]["mean_distance"]
        assert answer[estimator]["mean_distance"] == pytest.approx(distance, rel=0.02)
    assert answer["face"]["box_px"] == pytest.approx(EXAMPLE_ANSWER["face"]["box_px"], rel=0.02)
    reasons = EXAMPLE_ANSWER["decision"]["reasons"]
    assert without_values(answer["decision"]) == without_values(EXAMPLE_ANSWER["decision"])
    assert EXAMPLE_ANSWER["decision_record"]["reasons"] == recorded(reasons)


def without_values(decision):
    """What does not depend on the machine."""
    reasons = [{**reason, "value": None} for reason in decision["reasons"]]
    return {**decision, "reasons": reasons}


def test_every_header_of_a_problem_is_documented(document):
    responses = document["paths"]["/quality"]["post"]["responses"]
    for kind in PROBLEMS:
        error = kind("", 1.0) if kind is OverloadedError else kind("")
        status = str(kind_of(error).status)
        if status in responses:
            assert _headers(error).keys() <= responses[status]["headers"].keys(), kind


def test_operations_have_the_names_of_their_routes(document):
    operations = [each for path in document["paths"].values() for each in path.values()]
    ids = [each["operationId"] for each in operations]
    assert {"assess_quality", "assess_batch", "describe_model", "livez"} <= set(ids)
    assert len(set(ids)) == len(ids)


def test_metrics_are_text(document):
    content = document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert content == {"text/plain": {"schema": {"type": "string"}}}


@pytest.mark.parametrize("path", ["/quality", "/quality/batch"])
def test_no_parameter_takes_null(document, path):
    for parameter in document["paths"][path]["post"]["parameters"]:
        assert "nullable" not in parameter["schema"]
        assert None not in parameter["schema"].get("enum", [])


@pytest.mark.parametrize(
    ("model", "field", "known"),
    [
        ("ReasonAnswer", "code", ReasonCode),
        ("ReasonAnswer", "kind", ReasonKind),
        ("ReasonAnswer", "component", ComponentName),
        ("RecordedReason", "code", ReasonCode),
        ("RecordedReason", "component", ComponentName),
        ("ComponentAnswer", "name", ComponentName),
        ("BatchAnswer", "no_best", NoBest),
    ],
)
def test_lists_that_may_grow_are_not_closed(document, model, field, known):
    schema = document["components"]["schemas"][model]["properties"][field]
    assert schema["type"] == "string"
    assert schema["x-extensible-enum"] == list(get_args(known))
    assert "enum" not in schema


def test_the_api_is_beside_its_document_whatever_a_proxy_puts_before_both(document):
    [server] = document["servers"]
    for prefix in ("", "/faces"):
        api = urljoin(f"http://x{prefix}/openapi.json", server["url"])
        assert api == f"http://x{prefix}/"


def test_every_problem_that_a_capture_can_meet_is_documented(document):
    responses = document["paths"]["/quality"]["post"]["responses"]
    text = " ".join(response["description"] for response in responses.values())
    # Nobody reads a 499, and a 500 is one kind for all.
    codes = {kind.code for kind in PROBLEMS.values() if kind.status != 499}
    assert {code for code in codes if f"`{code}`" not in text} == set()
    for status, response in responses.items():
        assert list(response["content"]) == [
            "application/json" if status == "200" else "application/problem+json"
        ]


def references(value):
    if isinstance(value, dict):
        return {value["$ref"]} if "$ref" in value else references(list(value.values()))
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


def test_every_reference_leads_somewhere(document):
    schemas = document["components"]["schemas"]
    assert references(document) <= {f"#/components/schemas/{name}" for name in schemas}


def test_it_is_openapi_3_0(document):
    assert document["openapi"].startswith("3.0.")
    OpenAPIV30SpecValidator(document).validate()


def test_an_answer_has_just_the_documented_fields(service, document):
    answer = service.assess(random_capture(), include=",".join(get_args(Extra))).json()
    schemas = document["components"]["schemas"]
    assert set(answer) == set(schemas["QualityAnswer"]["properties"])
    assert set(answer["face"]) == set(schemas["FaceAnswer"]["properties"])
    assert set(answer["decision"]) == set(schemas["DecisionAnswer"]["properties"])
    assert set(answer["decision_record"]) == set(schemas["DecisionRecord"]["properties"])


def violations(
    answer: httpx.Response, document: dict[str, Any], path: str, method: str
) -> list[str]:
    answers = document["paths"][path][method]["responses"][str(answer.status_code)]["content"]
    schema = answers[answer.headers["content-type"]]["schema"]
    validator = OAS30Validator({**schema, "components": document["components"]})
    return [error.message for error in validator.iter_errors(answer.json())]


def test_answers_are_what_the_document_says(service, document):
    """Those with null in many places among them."""
    everything = {"include": ",".join(get_args(Extra))}
    for capture in (random_capture(), blank_capture(), b"no image"):
        assert not violations(service.assess(capture, **everything), document, "/quality", "post")
    for captures in ([random_capture()], [blank_capture()], [random_capture(), b"no image"]):
        files = [("image", capture) for capture in captures]
        answer = service.client.post("/quality/batch", files=files)
        assert answer.status_code == 200
        assert not violations(answer, document, "/quality/batch", "post")
    for path in ("/model", "/livez", "/readyz"):
        assert not violations(service.get(path), document, path, "get")


def test_or_null_in_the_words_of_3_0():
    number = {"anyOf": [{"type": "number"}, {"type": "null"}], "title": "N"}
    assert in_openapi_3_0(number) == {"type": "number", "title": "N", "nullable": True}
    reference = {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]}
    null = {"enum": [None], "nullable": True}
    assert in_openapi_3_0(reference) == {"anyOf": [{"$ref": "#/x"}, null], "nullable": True}
    choice = {"anyOf": [{"enum": ["a"], "type": "string"}, {"type": "null"}]}
    assert in_openapi_3_0(choice) == {"type": "string", "enum": ["a", None], "nullable": True}
    several = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}
    assert in_openapi_3_0(several) == {
        "anyOf": [{"type": "number"}, {"type": "string"}, null],
        "nullable": True,
    }
    assert in_openapi_3_0({"const": "a"}) == {"enum": ["a"]}
    untouched = {"anyOf": [{"type": "number"}, {"type": "string"}]}
    assert in_openapi_3_0([untouched]) == [untouched]
