"""The one table of what pydantic's errors expect, in the words of this package."""

from __future__ import annotations

from pydantic_core import ErrorDetails

_EXPECTED = {
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a string",
    "string_unicode": "text in UTF-8",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object {{…}}",
    "model_type": "an object {{…}}",
}


def expectation(error: ErrorDetails) -> str:
    """The part of a message that says "expected …"; pydantic's own words for an error that is not in the table."""
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        return "expected " + str(context["expected"]).replace("'", "")
    if error["type"] in _EXPECTED:
        return "expected " + _EXPECTED[error["type"]].format(**context)
    return error["msg"][:1].lower() + error["msg"][1:]
