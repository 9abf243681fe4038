"""Lists that may grow, as the OpenAPI document has them: strings, and those known so far beside.

A client made from a closed `enum` would refuse a whole answer for one code that is new.
"""

from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue


class OpenList:
    """Annotates a `Literal`. What is accepted stays the same."""

    def __get_pydantic_json_schema__(
        self, core_schema: Any, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """As for the `Literal`, with `x-extensible-enum` in place of `enum`."""
        schema = handler(core_schema)
        schema["x-extensible-enum"] = schema.pop("enum")
        return schema


OPEN_LIST = OpenList()
