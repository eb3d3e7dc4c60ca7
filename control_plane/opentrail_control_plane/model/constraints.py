"""What the model allows of an input's members, and what AWS says about what it does not allow.

All violations are found, not the first: `Value '…' at 'tagsList.1.member.key' failed to satisfy constraint: Member
must …`. Work is bounded: one pass over members that came in one bounded body, patterns of bounded work (`patterns`),
and at most MOST_VIOLATIONS of them are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from botocore.model import ListShape, MapShape, Shape, StructureShape

from opentrail_control_plane.model.patterns import compiled
from opentrail_control_plane.model.reading import lower_camel, within

MOST_VIOLATIONS = 100
"""A message of more helps nobody."""
_LONGEST_VALUE = 200
"""Characters of a value that a message repeats."""
_STRUCTURED = frozenset({"structure", "list", "map"})
_NULL = "Member must not be null"


class Violation(NamedTuple):
    """One value that the model does not allow."""

    path: str
    """Member names in lower camel case, list elements as `1.member`."""
    value: Any
    constraint: str

    def __str__(self) -> str:
        path = self.path[:_LONGEST_VALUE]
        return f"Value {_shown(self.value)} at '{path}' failed to satisfy constraint: {self.constraint}"


def violations(shape: StructureShape, members: Mapping[str, Any]) -> Sequence[Violation]:
    """Everything that the model does not allow of the members that were read by it."""
    return list(islice(_of_structure(shape, members, ""), MOST_VIOLATIONS))


def report(found: Sequence[Violation]) -> str:
    """The message about violations."""
    plural = "s" if len(found) > 1 else ""
    return f"{len(found)} validation error{plural} detected: {'; '.join(map(str, found))}"


def _of_structure(shape: StructureShape, members: Mapping[str, Any], path: str) -> Iterator[Violation]:
    for name in shape.required_members:
        if name not in members:
            yield Violation(within(path, lower_camel(name)), None, _NULL)
    if shape.is_tagged_union and len(members) != 1:
        yield Violation(path, members, "Member must have exactly one of its members set")
    for name, value in members.items():
        yield from _of(shape.members[name], value, within(path, lower_camel(name)))


def _of(shape: Shape, value: Any, path: str) -> Iterator[Violation]:
    for broken in _broken(shape, value):
        yield Violation(path, value, broken)
    match shape:
        case StructureShape():
            yield from _of_structure(shape, value, path)
        case ListShape():
            yield from _of_elements(shape.member, value, path)
        case MapShape():
            yield from _of_map(shape, value, path)


def _of_elements(member: Shape, values: Sequence[Any], path: str) -> Iterator[Violation]:
    """Elements that are structures each have a path of their own; of scalars, AWS shows the whole list."""
    if member.type_name in _STRUCTURED:
        for number, value in enumerate(values, 1):
            place = f"{path}.{number}.member"
            yield from [Violation(place, None, _NULL)] if value is None else _of(member, value, place)
    elif any(value is None or any(_broken(member, value)) for value in values):
        yield Violation(path, values, f"Member must satisfy constraint: [{', '.join(_rules(member))}]")


def _of_map(shape: MapShape, values: Mapping[str, Any], path: str) -> Iterator[Violation]:
    if any(any(_broken(shape.key, key)) for key in values):
        yield Violation(path, values, f"Map keys must satisfy constraint: [{', '.join(_rules(shape.key))}]")
    if shape.value.type_name in _STRUCTURED:
        for key, value in values.items():
            place = f"{path}.{key[:100]}.member"
            yield from [Violation(place, None, _NULL)] if value is None else _of(shape.value, value, place)
    elif any(value is None or any(_broken(shape.value, value)) for value in values.values()):
        yield Violation(path, values, f"Map value must satisfy constraint: [{', '.join(_rules(shape.value))}]")


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    """The rules of its own shape that a value breaks."""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    match shape.type_name:
        case "string" | "list" | "map" | "blob":
            too_short = least is not None and len(value) < least
            too_long = most is not None and len(value) > most
            yield from _length_rules(least if too_short else None, most if too_long else None)
        case "integer" | "long" | "float" | "double":
            if least is not None and value < least:
                yield _least_rule(least)
            if most is not None and value > most:
                yield _most_rule(most)
    if shape.type_name == "string":
        yield from _broken_text_rules(shape, value)


def _broken_text_rules(shape: Shape, value: str) -> Iterator[str]:
    allowed, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    if allowed and value not in allowed:
        yield _enum_rule(allowed)
    if pattern is not None:
        expression = compiled(pattern)
        if expression is not None and not expression.fullmatch(value):
            yield _pattern_rule(pattern)


def _rules(shape: Shape) -> Iterator[str]:
    """All the rules of a scalar shape."""
    metadata = shape.metadata
    if shape.type_name in {"integer", "long", "float", "double"}:
        yield from (_most_rule(metadata["max"]) for _ in range("max" in metadata))
        yield from (_least_rule(metadata["min"]) for _ in range("min" in metadata))
    else:
        yield from _length_rules(metadata.get("min"), metadata.get("max"))
    if metadata.get("enum"):
        yield _enum_rule(metadata["enum"])
    if "pattern" in metadata:
        yield _pattern_rule(metadata["pattern"])
    yield _NULL


def _length_rules(least: int | None, most: int | None) -> Iterator[str]:
    if most is not None:
        yield f"Member must have length less than or equal to {most}"
    if least is not None:
        yield f"Member must have length greater than or equal to {least}"


def _least_rule(least: float) -> str:
    return f"Member must have value greater than or equal to {least}"


def _most_rule(most: float) -> str:
    return f"Member must have value less than or equal to {most}"


def _enum_rule(allowed: Sequence[str]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(allowed)}]"


def _pattern_rule(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"


def _shown(value: Any) -> str:
    """A value as AWS's messages have it, cut to what a reader can use."""
    match value:
        case None:
            return "null"
        case str():
            text = value
        case list():
            text = f"[{', '.join(one if isinstance(one, str) else _json(one) for one in value[:20])}]"
        case _:
            text = _json(value)
    return f"'{text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}'"


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
