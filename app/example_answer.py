"""An answer of the service, for those who read the documentation. A test asks for it once more."""

import json
from importlib.resources import files
from typing import Any

EXAMPLE_QUERY = "profile=identification&include=components"

ABOUT_THE_EXAMPLE = (
    f"The example: the portrait of `serfiq sample` by `compact`, with `{EXAMPLE_QUERY}`; two of "
    "its 19 components, and four digits of each number."
)

EXAMPLE_ANSWER: dict[str, Any] = json.loads(
    files("app").joinpath("example_answer.json").read_text(encoding="utf-8")
)
