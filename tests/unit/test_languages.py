"""`Accept-Language`: weights, lookup, refusals, and headers that are nothing of the sort."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.languages import LANGUAGES, negotiate


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE", "de"),
        ("fr, de", "fr"),
        # Weights outrank the order, RFC 9110 section 12.4.2.
        ("fr;q=0.5, de;q=0.8", "de"),
        ("fr;q=0.5, de", "de"),
        ("es;q=0.001, zh;q=0.002", "zh"),
        ("es ; q=0.9 ,\tzh\t;\tq=1.000", "zh"),
        ("da, en-gb;q=0.8, en;q=0.7", "en"),
        # Lookup falls back from the end, RFC 4647 section 3.4.
        ("fr-CA", "fr"),
        ("zh-Hant-TW, en;q=0.1", "zh"),
        ("de-CH-1996, fr", "de"),
        ("i-klingon, x-de, de;q=0.1", "de"),
        # A name that only begins like one of ours is another language.
        ("den, est, frr;q=0.9", "en"),
        # `*` is whatever the service likes.
        ("*", "en"),
        ("*, fr;q=0.5", "fr"),
        ("nl, *;q=0.1", "en"),
        # Weight 0: anything but this.
        ("en;q=0", "zh"),
        ("en;q=0, zh;q=0.000, *", "de"),
        ("de;q=0, de-AT, es;q=0.1", "es"),
        ("de-AT;q=0, de", "de"),
        ("en;q=0, zh;q=0, de;q=0, es;q=0, fr;q=0", "en"),
        # Nothing we have: as if nothing had been asked.
        ("nl, sv;q=0.8", "en"),
        # What is malformed is passed over.
        ("de;q=2, fr;q=0.5", "fr"),
        ("de;q=-1, fr", "fr"),
        ("de;q=0.1234, fr", "fr"),
        ("de;level=1, fr", "fr"),
        (";;;,,,=q", "en"),
        ("de_AT, fr;q=0.1", "fr"),
        ("德语, es", "es"),
        ("fr, de, fr;q=0", "fr"),
    ],
)
def test_the_language_of_a_header(header, language):
    assert negotiate(header) == language


@given(st.text() | st.text("defrz*-;q=01., \t", max_size=40))
def test_whatever_is_sent_some_language_is_spoken(header):
    assert negotiate(header) in LANGUAGES


@given(st.permutations(LANGUAGES), st.randoms())
def test_the_highest_weight_wins_wherever_it_stands(order, random):
    ranked = [f"{language};q={1 - rank / 10:g}" for rank, language in enumerate(order)]
    random.shuffle(ranked)
    assert negotiate(", ".join(ranked)) == order[0]
