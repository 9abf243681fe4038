"""The line of a key, in layouts that people really write, and in some that only TOML allows."""

import pytest

from serfiq_core.toml.lines import line_of

ODD = '''\
# [enrolment] is described below: accept_at = 1
"first key" = """
[enrolment]
accept_at = 2
"""

  [ enrolment . "native_value" ]   # the part comes before the whole
HeadPoseYaw = { reject_below = -30, \
review_below = -20 }
\tHeadPoseRoll.review_above = 10
list = [
  1, # review_at
  [2, 3],
]

[enrolment]
'accept_at' = 20
version = \'\'\'
review_at = 3\'\'\'
review_at = 5

[[captures]]
name = "a"
'''


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("first key",), 2),
        (("enrolment",), 7),
        (("enrolment", "native_value"), 7),
        (("enrolment", "native_value", "HeadPoseYaw"), 8),
        (("enrolment", "native_value", "HeadPoseYaw", "review_below"), 8),
        (("enrolment", "native_value", "HeadPoseRoll", "review_above"), 9),
        (("enrolment", "native_value", "list"), 10),
        (("enrolment", "accept_at"), 16),
        (("enrolment", "version"), 17),
        (("enrolment", "review_at"), 19),
        (("captures",), 21),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_key_is_found_on_its_own_line(keys, line, newline):
    assert line_of(ODD.replace("\n", newline), keys) == line


def test_only_what_toml_takes_for_a_newline_is_one():
    assert line_of("a = 1 # \u2028 \x85 \u2029\nb = 2", ("b",)) == 2


@pytest.mark.parametrize("keys", [("b",), ("a", "b"), ("t", "a")])
def test_a_key_that_is_not_there_has_no_line(keys):
    with pytest.raises(KeyError):
        line_of("a = 1\n[t]\nc = 2", keys)
