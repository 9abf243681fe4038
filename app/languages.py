"""Which of our languages suits a caller: `Accept-Language`, RFC 9110 section 12.5.4.

Lookup as in RFC 4647, section 3.4. A header that cannot be understood costs nobody an answer: what
is malformed in it is passed over.
"""

import re
from typing import get_args

from app.hints import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
"""The first is the one for callers who name none of them."""

PREFERENCE = re.compile(
    r"[ \t]*(?P<range>\*|[a-z]{1,8}(?:-[a-z0-9]{1,8})*)"
    r"(?:[ \t]*;[ \t]*q=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*",
    re.IGNORECASE | re.ASCII,
)
"""One language range and its weight, RFC 9110 section 12.4.2."""


def negotiate(accept_language: str) -> Language:
    """The language that the header's weights rank highest; of equals, the one named first.

    `fr-CA` finds `fr`, as all of ours are bare languages. Weight 0 refuses a language; when all are
    refused, the header is disregarded, as RFC 9110 permits.

    Args:
        accept_language: the header's value; empty when there is none.
    """
    weights = _weights(accept_language)
    refused = {name for name, weight in weights.items() if weight == 0}
    for name in sorted(weights, key=weights.__getitem__, reverse=True):
        for language in LANGUAGES:
            if name.partition("-")[0] == language and not {name, language} & refused:
                return language
    # `*` says nothing that the order of ours does not say.
    return next((language for language in LANGUAGES if language not in refused), LANGUAGES[0])


def _weights(header: str) -> dict[str, float]:
    """Language range → weight, in the order of the header; of a range named twice, the first."""
    weights: dict[str, float] = {}
    for element in header.split(","):
        if preference := PREFERENCE.fullmatch(element):
            weights.setdefault(preference["range"].lower(), float(preference["weight"] or 1))
    return weights
