"""The container files say what the settings say, and the health check sees what `/readyz` says."""

import json
import re
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, get_args

import pytest
import yaml

from app.main import create_app
from app.metrics import Metrics
from app.problems import REFUSALS, all_kinds
from app.settings import Settings
from serfiq_core.testing import FakePipeline
from serfiq_core.types import ReasonCode
from tests.conftest import REPOSITORY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
RESULT = DOCKERFILE[DOCKERFILE.index("AS service") :]
IN_THE_IMAGE = dict(re.findall(r"^(?:ENV)? +(\w+)=(\S+)", RESULT, re.MULTILINE))

[RULES] = yaml.safe_load((REPOSITORY / "docker/alerts.yml").read_text())["groups"]
ALERTS = [rule["expr"] for rule in RULES["rules"]]


def compose(path: str = "docker-compose.yml") -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / path).read_text())


def service_environment() -> dict[str, str]:
    """What the service is started with when nobody sets anything: `${NAME:-default}` → default."""
    environment = IN_THE_IMAGE | compose()["services"]["serfiq"]["environment"]
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in environment.items()}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in service_environment().items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.mark.parametrize(
    "path", ["Dockerfile", "docker-compose.yml", "docker/compose.gpu.yml", "docker/trial.py"]
)
def test_every_variable_is_a_setting(path: str) -> None:
    named = set(re.findall(r"\bSERFIQ_(\w+)", (REPOSITORY / path).read_text()))
    assert named
    assert {name.lower() for name in named} <= Settings.model_fields.keys()


def test_the_gpu_override_is_valid(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    override = compose("docker/compose.gpu.yml")["services"]
    assert override.keys() <= compose()["services"].keys()
    for name, value in override["serfiq"]["environment"].items():
        monkeypatch.setenv(name, value)
    assert settings.device == "auto"
    assert Settings().device == "cuda"


def test_the_service_can_be_reached_where_the_files_say(settings: Settings) -> None:
    service = compose()["services"]["serfiq"]
    assert settings.host == "0.0.0.0"
    assert f"EXPOSE {settings.port}\n" in RESULT
    assert [port.split(":")[-1] for port in service["ports"]] == [str(settings.port)]
    assert [volume.split(":")[1] for volume in service["volumes"]] == [str(settings.packs_dir)]


def test_nothing_is_published_beyond_this_machine() -> None:
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_orchestrator_waits_longer_than_the_service_drains(settings: Settings) -> None:
    grace = compose()["services"]["serfiq"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > settings.shutdown_grace_seconds


def test_prometheus_scrapes_the_service(settings: Settings) -> None:
    [job] = yaml.safe_load((REPOSITORY / "docker/prometheus.yml").read_text())["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert name in compose()["services"]
    assert int(port) == settings.port
    app = create_app(settings, load=lambda: pytest.fail("only the routes are asked for"))
    assert app.url_path_for("metrics_text") == job["metrics_path"]


def test_alerts_ask_for_metrics_that_there_are() -> None:
    prometheus = yaml.safe_load((REPOSITORY / "docker/prometheus.yml").read_text())
    assert prometheus["rule_files"] == ["alerts.yml"]
    for name in ("prometheus.yml", "alerts.yml"):
        mounted = f"./docker/{name}:/etc/prometheus/{name}:ro"
        assert mounted in compose()["services"]["prometheus"]["volumes"]
    asked = {name for each in ALERTS for name in re.findall(r"\b(?:serfiq|process)_\w+", each)}
    suffixes = {"counter": ["_total"], "gauge": [""], "info": ["_info"]}
    of_histograms = ["_bucket", "_count", "_sum"]
    assert asked
    assert asked <= {
        family.name + suffix
        for family in Metrics().registry.collect()
        for suffix in suffixes.get(family.type, of_histograms)
    }
    assert all(rule["annotations"]["summary"] for rule in RULES["rules"])


def test_alerts_ask_for_the_job_that_is_scraped() -> None:
    [job] = yaml.safe_load((REPOSITORY / "docker/prometheus.yml").read_text())["scrape_configs"]
    assert {name for each in ALERTS for name in re.findall(r'job="(\w+)"', each)} == {
        job["job_name"]
    }


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("cause", {kind.code for kind in all_kinds() if kind.status in REFUSALS}),
        ("code", {kind.code for kind in all_kinds() if kind.status >= 500}),
        ("reason", set(get_args(ReasonCode))),
    ],
)
def test_alerts_ask_for_codes_that_there_are(label: str, known: set[str]) -> None:
    asked = [
        pattern
        for each in ALERTS
        for alternatives in re.findall(rf'\b{label}=~?"([^"]+)"', each)
        for pattern in alternatives.split("|")
    ]
    assert asked
    assert all(any(re.fullmatch(pattern, code) for code in known) for pattern in asked)


def test_instances_are_told_apart_by_labels_that_there_are() -> None:
    metrics = Metrics()
    metrics.describe_model(FakePipeline().info)
    [family] = [f for f in metrics.registry.collect() if f.name == "serfiq_model"]
    [sample] = family.samples
    [expression] = [each for each in ALERTS if sample.name in each]
    for labels in re.findall(r"by \(([^)]+)\)", expression):
        assert set(labels.split(", ")) <= {"job", *sample.labels}


def test_the_user_is_a_number_other_than_root() -> None:
    [user] = re.findall(r"^USER (.*)$", RESULT, re.MULTILINE)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


@pytest.mark.parametrize("keyword", ["ENTRYPOINT", "CMD"])
def test_the_command_gets_its_signals_itself(keyword: str) -> None:
    """A shell in between would keep SIGTERM: the exec form is a JSON list."""
    [command] = re.findall(rf"^{keyword} (.*)$", RESULT, re.MULTILINE)
    assert isinstance(json.loads(command), list)


def test_the_labels_are_those_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', RESULT))
    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "version": project["version"],
        "licenses": project["license"],
    }


@contextmanager
def server_that_answers(status: int, address: str = "127.0.0.1") -> Iterator[tuple[int, list[str]]]:
    """Its port, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(HTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with Server((address, 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no ::1")


def health_check(port: int, host: str = IN_THE_IMAGE["SERFIQ_HOST"]) -> int:
    """Exit status of the command in the Dockerfile, told where the service listens."""
    [command] = re.findall(r"^HEALTHCHECK .*\n +CMD (\[.*\])$", RESULT, re.MULTILINE)
    _, *arguments = json.loads(command)
    # A proxy that the environment names must not be asked: this one does not exist.
    environment = {
        "SERFIQ_HOST": host,
        "SERFIQ_PORT": str(port),
        "http_proxy": "http://127.0.0.1:9",
    }
    return subprocess.run(
        [sys.executable, *arguments], env=environment, stderr=subprocess.DEVNULL, check=False
    ).returncode


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_says_what_readyz_says(status: int, healthy: bool) -> None:
    with server_that_answers(status) as (port, asked):
        assert (health_check(port) == 0) is healthy
    assert asked == ["/readyz"]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("localhost", "127.0.0.1"),
        pytest.param("::", "::1", marks=needs_ipv6),
        pytest.param("::1", "::1", marks=needs_ipv6),
    ],
)
def test_the_health_check_asks_where_the_service_listens(host: str, address: str) -> None:
    with server_that_answers(200, address) as (port, _):
        assert health_check(port, host) == 0


def test_no_server_is_not_healthy() -> None:
    with server_that_answers(200) as (port, _):
        pass
    assert health_check(port) != 0


def test_the_build_context_has_what_the_dockerfile_copies() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    ignore_file = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignore_file if line.startswith("!")}
    assert copied == allowed
    assert all((REPOSITORY / path).exists() for path in copied)


def test_the_offline_base_is_the_one_that_is_asked_for() -> None:
    script = (REPOSITORY / "docker/build-offline.sh").read_text()
    [suite] = re.findall(r"^suite=(\w+)", script, re.MULTILINE)
    images = re.findall(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, re.MULTILINE)
    assert images[0] == (f"debian:{suite}-slim", "python")
    assert {image for image, _ in images[1:]} == {"python"}
