"""A Python function → the JSON schema of its arguments, and their check. pydantic does both.

>>> tool(get_weather).schema["function"]["parameters"]["required"]
['location']
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValue

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what OpenAI's interface takes
_SHOWN_CHARS = 60
_SHOWN_PROBLEMS = 5

_HEADING = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):\s*$")
_NAMES_PARAMETERS = ("Args", "Arguments", "Parameters")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_SPHINX = re.compile(r"^:param\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)$")


class BadArguments(ValueError):
    """Arguments that a function must not be given. Its text is for the model."""


@dataclass(frozen=True)
class Tool:
    """A function that a model may call. `parameters` is the JSON schema of its arguments."""

    function: Callable[..., Any]
    name: str
    description: str
    parameters: Mapping[str, Any]
    _adapter: TypeAdapter[dict[str, Any]] = field(repr=False, compare=False)

    @property
    def schema(self) -> dict[str, Any]:
        """The entry for `tools=[…]` of a request."""
        about = {"description": self.description} if self.description else {}
        return {
            "type": "function",
            "function": {"name": self.name, **about, "parameters": dict(self.parameters)},
        }

    def arguments(self, text: str) -> dict[str, Any]:
        """The JSON object `text` as the function's arguments. Raises BadArguments.

        Strict: "3" is no integer, null no text, and a name that the function does not have is
        refused. What is left out is left to the function's own default.
        """
        from pydantic import ValidationError

        try:
            return self._adapter.validate_json(text)
        except ValidationError as problem:
            raise BadArguments(_in_words(problem)) from problem

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def tool(
    function: Callable[..., Any], *, name: str | None = None, description: str | None = None
) -> Tool:
    """The function as a tool: its name, its docstring, and a schema from its annotations.

    A function may be a coroutine. `Annotated[int, Field(ge=1)]` narrows a parameter; `Literal`
    and enums list its values. Raises InvalidValue for a function that no schema can describe.
    """
    name = name or str(getattr(function, "__name__", type(function).__name__))
    if not _NAME.fullmatch(name):
        raise InvalidValue(
            f"{name!r} is no name for a tool",
            "give it one of letters, digits, _ and -: tool(function, name=…)",
        )
    docs = _docs(function.__doc__)
    signature = _signature(name, function)
    adapter = _adapter(name, signature)
    schema = _schema(name, adapter)
    for parameter, about in schema["properties"].items():
        about |= _about(signature.parameters[parameter], docs.parameters) | about
    description = docs.description if description is None else description
    return Tool(function, name, description, schema, adapter)


def _signature(name: str, function: Callable[..., Any]) -> inspect.Signature:
    """The function's parameters, each with its type and to be given by name."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except (TypeError, ValueError, NameError, SyntaxError) as problem:
        raise InvalidValue(
            f"the parameters of {name} cannot be read: {problem}",
            "write a function around it, with annotated parameters, and offer that",
        ) from problem
    for parameter in signature.parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidValue(
                f"{name} takes {parameter}: a model gives arguments by name only",
                "name each parameter that it may give",
            )
        if parameter.annotation is parameter.empty:
            raise InvalidValue(
                f"{name}: no type is given for {parameter.name}",
                f"annotate it, for example {parameter.name}: str",
            )
    return signature


def _about(parameter: inspect.Parameter, described: Mapping[str, str]) -> dict[str, Any]:
    """What docstring and default add to a parameter's schema."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    about: dict[str, Any] = {}
    if parameter.name in described:
        about["description"] = described[parameter.name]
    if parameter.default is not parameter.empty:
        with suppress(PydanticSerializationError):  # JSON cannot say it; the function has it
            about["default"] = to_jsonable_python(parameter.default)
    return about


def _adapter(name: str, signature: inspect.Signature) -> TypeAdapter[dict[str, Any]]:
    from typing import NotRequired

    from pydantic import ConfigDict, PydanticUserError, TypeAdapter
    from pydantic_core import SchemaError
    from typing_extensions import TypedDict

    build: Any = TypedDict  # by call, because the names are known only now
    arguments = build(
        name,
        {
            p.name: p.annotation if p.default is p.empty else NotRequired[p.annotation]
            for p in signature.parameters.values()
        },
    )
    arguments.__pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    try:
        return TypeAdapter(arguments)
    except (PydanticUserError, SchemaError, TypeError) as problem:
        raise _no_schema(name, problem) from problem


def _schema(name: str, adapter: TypeAdapter[dict[str, Any]]) -> dict[str, Any]:
    """The JSON schema with its references resolved: SGLang's parser reads a parameter's type
    where the parameter is.
    """
    from pydantic import PydanticUserError

    try:
        schema = adapter.json_schema()
    except PydanticUserError as problem:
        raise _no_schema(name, problem) from problem
    known = schema.pop("$defs", {})
    try:
        resolved: dict[str, Any] = _resolved(schema, known, ())
    except RecursionError as problem:
        raise InvalidValue(
            f"{name} has a parameter whose type contains itself",
            "give it a flat one: a list, or text that the function parses",
        ) from problem
    return {"type": "object", "properties": {}, **resolved}


_AS_IT_IS = ("default", "const", "enum", "examples")  # the reader's own values, no schemas


def _resolved(part: Any, known: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    """A part of a schema without references, and without titles, which repeat the names."""
    if isinstance(part, list):
        return [_resolved(item, known, inside) for item in part]
    if not isinstance(part, dict):
        return part
    reference = part.get("$ref")
    if isinstance(reference, str):
        key = reference.removeprefix("#/$defs/")
        if key in inside:
            raise RecursionError(key)
        beside = {name: value for name, value in part.items() if name != "$ref"}
        return {**_resolved(known[key], known, (*inside, key)), **beside}
    return {
        name: value if name in _AS_IT_IS else _resolved(value, known, inside)
        for name, value in part.items()
        if not (name == "title" and isinstance(value, str))
    }


def _no_schema(name: str, problem: Exception) -> InvalidValue:
    reason = str(problem).splitlines()[0]
    return InvalidValue(
        f"no schema can describe the parameters of {name}: {reason}",
        "use types that JSON has: str, int, float, bool, list, dict, Literal, a dataclass",
    )


def _in_words(problem: ValidationError) -> str:
    """What is wrong with some arguments, each with its place and what was given."""
    lines = []
    for error in problem.errors(include_url=False, include_context=False)[:_SHOWN_PROBLEMS]:
        where = ".".join(map(str, error["loc"])) or "arguments"
        given = repr(error["input"])
        if len(given) > _SHOWN_CHARS:
            given = given[:_SHOWN_CHARS] + "…"
        about = "" if error["type"] == "missing" else f" (given: {given})"
        lines.append(f"{where}: {error['msg']}{about}")
    if (more := problem.error_count() - len(lines)) > 0:
        lines.append(f"and {more} more")
    return "; ".join(lines)


@dataclass(frozen=True)
class _Docs:
    """A docstring: the text before the first section, and that of each parameter."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def _docs(text: str | None) -> _Docs:
    """Reads Google's style (`Args:` and indented lines) and Sphinx's (`:param name: …`)."""
    description: list[str] = []
    parameters: dict[str, list[str]] = {}
    section = ""
    entry_indent = 0  # of the lines that begin a parameter; what is deeper goes on with it
    into = description
    for line in inspect.cleandoc(text or "").splitlines():
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        if heading := _HEADING.match(line):
            section, into, entry_indent = heading[1], [], 0
        elif sphinx := _SPHINX.match(words):
            into = parameters.setdefault(sphinx[1], [sphinx[2]])
        elif words.startswith(":"):  # :returns:, :raises X:
            into = []
        elif section not in _NAMES_PARAMETERS or not words:
            into.append(words)
        else:
            entry_indent = entry_indent or indent
            entry = _ENTRY.match(words) if indent == entry_indent else None
            if entry:
                into = parameters.setdefault(entry[1], [entry[2]])
            else:
                into.append(words)
    return _Docs(_text(description), {name: _text(about) for name, about in parameters.items()})


def _text(lines: Iterable[str]) -> str:
    """Lines as paragraphs: a blank line stays, other breaks do not."""
    paragraphs = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs if p.strip())
