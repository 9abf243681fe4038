"""Settings: read from the environment, checked at start, quiet about keys."""

import pytest
from pydantic import ValidationError

from app.loading import workers_of
from app.settings import MOST_DEFAULT_WORKERS, Settings, unknown_settings
from serfiq_core.packs.registry import embedded_pack


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SERFIQ_{name.upper()}", raising=False)


def test_the_defaults_need_no_environment():
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 8000
    assert settings.pack == "compact"
    assert settings.passes == 100
    assert settings.max_body_bytes == 10 * 1024 * 1024
    assert settings.api_keys == ()
    assert 1 <= settings.prepare_workers <= MOST_DEFAULT_WORKERS


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("SERFIQ_PORT", "9000")
    monkeypatch.setenv("SERFIQ_ESTIMATOR", "closed_form")
    monkeypatch.setenv("SERFIQ_PACKS_DIR", "/srv/packs")
    settings = Settings()
    assert settings.port == 9000
    assert settings.estimator == "closed_form"
    assert str(settings.packs_dir) == "/srv/packs"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_an_empty_variable_sets_nothing(monkeypatch, name):
    unset = Settings()
    monkeypatch.setenv(f"SERFIQ_{name.upper()}", "")
    assert Settings() == unset


@pytest.mark.parametrize("level", ["INFO", "Info", "info"])
def test_levels_of_the_log_come_in_any_case(monkeypatch, level):
    monkeypatch.setenv("SERFIQ_LOG_LEVEL", level)
    assert Settings().log_level == "info"


@pytest.mark.parametrize(
    ("host", "keys", "is_open"),
    [
        ("0.0.0.0", "", True),
        ("::", "", True),
        ("10.0.0.7", "", True),
        ("desk.example", "", True),
        ("127.0.0.1", "", False),
        ("127.1.2.3", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "key", False),
    ],
)
def test_without_keys_it_is_open_unless_only_this_machine_reaches_it(host, keys, is_open):
    assert Settings(host=host, api_keys=keys).open_to_all is is_open


def test_no_option_makes_the_host_empty():
    with pytest.raises(ValidationError, match="host"):
        Settings(host="")


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", []), ("one", ["one"]), ("one,two", ["one", "two"]), (" one , ,two,", ["one", "two"])],
)
def test_keys_come_separated_by_commas(monkeypatch, text, keys):
    monkeypatch.setenv("SERFIQ_API_KEYS", text)
    assert [key.get_secret_value() for key in Settings().api_keys] == keys


def test_keys_are_not_shown():
    settings = Settings(api_keys="hush-hush")
    assert "hush-hush" not in f"{settings} {settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "http"),
        ("metrics_port", "0"),
        ("device", "tpu"),
        ("estimator", "guess"),
        ("convention", "mine"),
        ("passes", "1"),
        ("seed", "-1"),
        ("max_body_bytes", "0"),
        ("max_queued_work", "0"),
        ("max_queued_work", "inf"),
        ("max_batch_size", "0"),
        ("prepare_workers", "0"),
        ("request_timeout_seconds", "0"),
        ("request_timeout_seconds", "inf"),
        ("shutdown_grace_seconds", "-1"),
        ("shutdown_grace_seconds", "inf"),
        ("api_keys", " , "),
        ("api_keys", "schlüssel"),
        ("api_keys", "one,two\udcff"),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ],
)
def test_what_cannot_be_is_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv(f"SERFIQ_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


def test_what_sets_nothing_is_found():
    names = ["SERFIQ_API_KEY", "SERFIQ_API_KEYS", "serfiq_port", "HOME", "SERFIQ_"]
    assert unknown_settings(names) == ["SERFIQ_", "SERFIQ_API_KEY"]


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().port = 1


@pytest.mark.parametrize(("timeout_seconds", "patience_seconds"), [(0.1, 10), (30, 30)])
def test_callers_who_give_up_soon_have_no_worker_killed_and_no_device_called_stuck(
    timeout_seconds, patience_seconds
):
    settings = Settings(request_timeout_seconds=timeout_seconds)
    assert settings.patience_seconds == patience_seconds
    assert workers_of(settings, embedded_pack())._limit_seconds == patience_seconds
