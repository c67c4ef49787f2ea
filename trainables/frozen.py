"""Values that users write: frozen, checked as they are read, named by a hash of their canonical form.

All mistakes in a value are told at once: which key of which file, what was given, what is allowed.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class ConfigError(ValueError):
    """A config that cannot be used; the message names the key, what was given and what is allowed."""


class FieldError(ValueError):
    """What a validator says of one key of the value that it checks; `parse` names the key as the user wrote it.

    Args:
        key: from the value on, such as "recipe.schedule.peaks".
        message: all but the key.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(key, message)
        self.keys, self.message = tuple(key.split(".")), message

    def __str__(self) -> str:
        return f"{'.'.join(self.keys)}: {self.message}"


class Frozen(BaseModel):
    """Base of all configs: immutable, no unknown keys, no coercion of strings to numbers, no NaN.

    Attributes:
        later: fields that a config has got since its values were first given names. At its default such a field is left
            out of the text, so what was named without it keeps its name. Its default has to be what was done before.
    """

    later: ClassVar[frozenset[str]] = frozenset()
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
    __slots__ = ("_text",)  # beside the fields: a copy with other values does not inherit it, nor is it sent anywhere

    def canonical(self) -> dict[str, Any]:
        """The config as JSON values, with every default spelled out."""
        return self.model_dump(mode="json")

    def named_by(self) -> dict[str, Any]:
        """The fields that enter names, with their values."""
        fields = type(self).model_fields
        values = {name: getattr(self, name) for name in fields}
        return {
            name: value
            for name, value in values.items()
            if name not in self.later or value != fields[name].get_default(call_default_factory=True)
        }

    @property
    def text(self) -> str:
        """The canonical form as text, found once: a study's trials share parts, and each part enters many keys."""
        try:
            found: str = self._text  # type: ignore[attr-defined]
        except AttributeError:
            found = _text(self.named_by())
            object.__setattr__(self, "_text", found)
        return found


class OneOf:
    """The type of a field that takes the names in a table, `Annotated[str, OneOf(TABLE)]`: a new row is one, too."""

    def __init__(self, table: Collection[str]) -> None:
        self._table = table

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._known)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"enum": list(self._table), "type": "string"}

    def _known(self, value: object) -> str:
        if isinstance(value, str) and value in self._table:
            return value
        *most, last = (repr(name) for name in self._table)
        raise PydanticKnownError("literal_error", {"expected": " or ".join([*filter(None, [", ".join(most)]), last])})


_FEW = 4
"""The number of choices up to which nobody needs a hint."""

_Model = TypeVar("_Model", bound=BaseModel)

_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_WORDS = {None: "null", True: "true", False: "false"}


def digest(value: object) -> str:
    """SHA-256 in hex of a JSON value in canonical form (sorted keys, no spaces, shortest floats).

    In a mapping a config stands for its JSON values.
    """
    return hashlib.sha256(_text(value).encode()).hexdigest()


def _text(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, Frozen):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join([f"{quoted(name)}:{_text(value[name])}" for name in sorted(value)]) + "}"
    if type(value) is int:
        return repr(value)
    if value is None or value is True or value is False:
        return _WORDS[value]
    return _JSON.encode(value)


def suggestion(name: object, known: Iterable[str]) -> str:
    """A question for messages about an unknown name, such as "did you mean lora? "; empty where no name is near."""
    by_lower = {one.lower().replace("-", "_"): one for one in known}
    close = get_close_matches(str(name).lower().replace("-", "_"), by_lower, n=1, cutoff=0.7)
    return f"did you mean {by_lower[close[0]]}? " if close else ""


def parse(
    model: type[_Model], value: object, *, source: str, named: Callable[[tuple[str, ...]], str] | None = None
) -> _Model:
    """Validate `value` as `model`; raise ConfigError that names each wrong key of `source`.

    Args:
        model: what the value becomes.
        value: what a user wrote, or what was made of it.
        source: what a user calls the value, such as the name of a file.
        named: what a user calls a place in the model, given by its keys; it follows the source. By default the user
            wrote a document with the same keys.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ConfigError("\n".join(source + line for line in _explain(model, error, named))) from error


def _explain(
    model: type[BaseModel], error: ValidationError, named: Callable[[tuple[str, ...]], str] | None
) -> Iterator[str]:
    for problem in error.errors():
        keys, node = _locate(model, problem["loc"])
        given, wrong = problem["input"], problem.get("ctx", {}).get("error")
        of_field = wrong.keys if isinstance(wrong, FieldError) else ()
        where = named((*keys, *of_field)) if named else _in_document(keys, of_field)
        if problem["type"] == "extra_forbidden":
            allowed = sorted(node.get("properties", {}))
            meant = suggestion(keys[-1], allowed)
            yield f"{where}: unknown key; {meant}allowed here: {', '.join(allowed)}"
        elif problem["type"] == "missing":
            yield f"{where}: missing; it has no default"
        elif isinstance(wrong, FieldError):
            yield f"{where}: {wrong.message}"
        elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
            context = problem.get("ctx", {})
            name = given.get("name") if isinstance(given, Mapping) else given
            tags = context.get("expected_tags", "an object with a key 'name'")
            meant = suggestion(name, _quoted(tags))
            yield f"{where}.name: {name!r} is unknown; {meant}allowed: {tags}"
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            shown = "" if isinstance(given, Mapping) else f"{given!r} given; "
            if problem["type"] == "literal_error" and len(choices := _quoted(message)) > _FEW:
                shown += suggestion(given, choices)
            yield f"{where}: {shown}{_allowed(problem['type'], message, _inner(model, keys, node))}"


def _in_document(keys: Sequence[str], of_field: Sequence[str]) -> str:
    """A place by its keys, those first under which the validator found the others."""
    return f": {': '.join('.'.join(some) for some in (keys, of_field) if some) or 'the whole document'}"


def _allowed(kind: str, message: str, node: Mapping[str, Any]) -> str:
    """The words of pydantic about what is allowed, with types in words of YAML."""
    if kind in ("model_type", "dict_type") and "properties" in node:
        return f"allowed: a mapping with keys of {', '.join(sorted(node['properties']))}"
    if kind == "list_type":
        return "allowed: a list, in brackets"
    if kind == "string_pattern_mismatch":
        return f"allowed: {node['description']}"
    if kind == "string_type":
        return 'allowed: a text, in quotes where it looks like something else, such as "1, 0.5"'
    return message if kind == "value_error" else f"allowed: {message}"


def _quoted(text: str) -> list[str]:
    """The names that a message of pydantic has in quotes."""
    return re.findall(r"'([^']*)'", text)


def _inner(model: type[BaseModel], keys: list[str], holder: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of the value under the last key of an object."""
    named = holder.get("properties", {}).get(keys[-1] if keys else "", {})
    return _resolve(model.model_json_schema(), named)


def _locate(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], dict[str, Any]]:
    """The keys of a location as the user wrote them, and the JSON schema of the object that holds the last one.

    Pydantic puts the chosen variant of a union into a location; it is no key.
    """
    schema = model.model_json_schema()
    node, holder, keys = _resolve(schema, schema), schema, []
    for part in location:
        variants = _variants(schema, node)
        if part in variants:
            node = _resolve(schema, {"$ref": variants[str(part)]})
            continue
        keys.append(str(part))
        holder = node
        inner = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part)
        node = _resolve(schema, inner or node.get("additionalProperties") or {})
    return keys, holder


def _variants(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, str]:
    """References of a union's variants by the names that tell them apart."""
    found = dict(node.get("discriminator", {}).get("mapping", {}))
    for one in node.get("anyOf", []):
        found |= one.get("discriminator", {}).get("mapping", {})
    for one in node.get("oneOf", []) if not found else []:  # told apart by a function, which a schema does not say
        name = _resolve(schema, one).get("properties", {}).get("name", {}).get("const")
        found |= {} if name is None else {name: one["$ref"]}
    return found


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    objects = [one for one in node.get("anyOf", []) if "$ref" in one]
    if len(objects) == 1:  # an object or null
        node = objects[0]
    if "$ref" not in node:
        return node
    target: dict[str, Any] = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return target
