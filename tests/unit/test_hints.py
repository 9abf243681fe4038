"""Hints: every reason has words in every language, and no two reasons the same ones."""

import dataclasses
from typing import get_args

import pytest

from app.hints import HINTS, Hint, Language, hint
from app.languages import LANGUAGES
from serfiq_core.types import ReasonCode


def test_every_reason_and_no_other():
    assert set(HINTS) == set(get_args(ReasonCode))


def test_every_language_and_no_other():
    assert LANGUAGES == get_args(Language) == tuple(f.name for f in dataclasses.fields(Hint))


@pytest.mark.parametrize("language", LANGUAGES)
def test_hints_are_sentences_and_tell_reasons_apart(language):
    hints = [hint(code, language) for code in get_args(ReasonCode)]
    assert len(set(hints)) == len(hints)
    for text in hints:
        assert text.strip() == text
        assert text.endswith("。" if language == "zh" else ".")
        assert "  " not in text


@pytest.mark.parametrize("code", get_args(ReasonCode))
def test_a_hint_is_in_its_own_language(code):
    texts = {language: hint(code, language) for language in LANGUAGES}
    assert len(set(texts.values())) == len(LANGUAGES)
    is_han = {
        language: any("\u4e00" <= letter <= "\u9fff" for letter in text)
        for language, text in texts.items()
    }
    assert is_han == {language: language == "zh" for language in LANGUAGES}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("face_too_small", ("closer", "靠近", "näher", "acérquese", "rapprochez")),
        ("face_too_large", ("away", "远", "weiter", "aléjese", "éloignez")),
        ("too_dark", ("too dark", "太暗", "zu dunkel", "oscuro", "trop sombre")),
        ("too_bright", ("too bright", "太亮", "zu hell", "claro", "trop clair")),
    ],
)
def test_of_two_opposites_the_right_one_is_said(code, words):
    for language, word in zip(LANGUAGES, words, strict=True):
        assert word in hint(code, language).lower(), language


def test_a_smile_reads_as_pitch_so_a_neutral_face_is_asked_for():
    words = ("neutral face", "中性表情", "neutraler miene", "expresión neutra", "expression neutre")
    for language, word in zip(LANGUAGES, words, strict=True):
        assert word in hint("extreme_pose", language).lower(), language
