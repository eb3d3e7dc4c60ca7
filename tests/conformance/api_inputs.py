"""Inputs made from botocore's model alone: valid ones, and each with one thing wrong, at every depth.

Nothing of the control plane is used here but which operations there are: what is right and wrong is read from the
model anew.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from botocore.model import ListShape, MapShape, Shape, StructureShape

Path = tuple[str | int, ...]

_SEEDS = (
    "a", "1", "1a", "a-1", "s3://bucket/prefix", "12:30", "ec2.amazonaws.com",
    "arn:aws:cloudtrail:us-east-1:111122223333:channel/EXAMPLE8-0558-4f7e-a06a-43969EXAMPLE",
)  # fmt: skip
_STRANGE = ("é", "\n", "!", " ", "~", "\u2028")
_OTHER_TYPES: dict[str, tuple[Any, ...]] = {
    "string": (7, 1.5, True, ["a"], {"a": "b"}),
    "boolean": ("true", 1, [], {}),
    "integer": ("1", 1.5, True, [1], {}, 2**31, -(2**31) - 1, 10**30),
    "long": ("1", 1.5, True, [1], {}, 2**63),
    "timestamp": ("2026-01-01T00:00:00Z", True, [], {}, 1e300),
    "list": ("a", 1, {}, False),
    "map": ("a", 1, [], False),
    "structure": ("a", 1, [], False),
    "blob": (1, True, [], {}, "not base64!"),
}
"""JSON values that are of no such type."""


class Mutation(NamedTuple):
    """An input with one thing wrong."""

    what: str
    path: Path
    body: dict[str, Any]
    said: str
    """What the refusal must say."""


def shapes_below(operation: Any) -> Iterator[Shape]:
    """Each shape of an operation's input, once."""
    seen: set[str] = set()

    def below(shape: Shape) -> Iterator[Shape]:
        if shape.name in seen:
            return
        seen.add(shape.name)
        yield shape
        for part in _parts(shape):
            yield from below(part)

    if operation.input_shape is not None:
        yield from below(operation.input_shape)


def _parts(shape: Shape) -> list[Shape]:
    match shape:
        case StructureShape():
            return list(shape.members.values())
        case ListShape():
            return [shape.member]
        case MapShape():
            return [shape.key, shape.value]
        case _:
            return []


def full_input(shape: StructureShape) -> dict[str, Any]:
    """A valid input with every member that there is."""
    return {name: _example(member) for name, member in shape.members.items()}


def least_input(shape: StructureShape) -> dict[str, Any]:
    """A valid input with the members that must be."""
    return {name: _example(shape.members[name]) for name in shape.required_members}


def _example(shape: Shape) -> Any:
    match shape:
        case StructureShape():
            return full_input(shape)
        case ListShape():
            return [_example(shape.member)] * max(shape.metadata.get("min", 1), 1)
        case MapShape():
            return {_example(shape.key): _example(shape.value)}
        case Shape(type_name="string"):
            return _text(shape)
        case Shape(type_name="boolean"):
            return True
        case Shape(type_name="timestamp"):
            return 1_767_225_600
        case Shape(type_name="blob"):
            return "AAEC"
        case _:
            return shape.metadata.get("min", 1)


def _text(shape: Shape) -> str:
    if shape.metadata.get("enum"):
        return str(shape.metadata["enum"][0])
    least, most = shape.metadata.get("min", 1), shape.metadata.get("max", 10_000)
    for seed in _SEEDS:
        text = (seed * (least // len(seed) + 1))[: max(least, len(seed))]
        if least <= len(text) <= most and _fits(shape, text):
            return text
    raise AssertionError(f"no example of {shape.name}: {shape.metadata}")


def _fits(shape: Shape, text: str) -> bool:
    return re.fullmatch(shape.metadata.get("pattern", "(?s).*"), text, re.ASCII) is not None


def mutations(shape: StructureShape) -> Iterator[Mutation]:
    """Every way in which the full input can be wrong in one place."""
    whole = full_input(shape)
    for place, part in _places(shape, whole, ()):
        value = _at(whole, place)
        for what, wrong, said in _wrong_values(part, value):
            yield Mutation(what, place, _with(whole, place, wrong), said)
        if isinstance(part, StructureShape):
            for name in part.required_members:
                body = copy.deepcopy(whole)
                del _at(body, place)[name]
                yield Mutation("missing", (*place, name), body, "Member must not be null")
        if isinstance(part, ListShape) and value:
            yield Mutation("null element", place, _with(whole, (*place, 0), None), "Member must not be null")
        if isinstance(part, MapShape):
            for what, wrong, said in _wrong_values(part.key, next(iter(value))):
                if isinstance(wrong, str):
                    body = _with(whole, place, {wrong: next(iter(value.values()))})
                    yield Mutation(f"{what} key", place, body, said)


def _places(shape: Shape, value: Any, place: Path) -> Iterator[tuple[Path, Shape]]:
    """Each value of an input, and its shape."""
    yield place, shape
    match shape:
        case StructureShape():
            for name, member in value.items():
                yield from _places(shape.members[name], member, (*place, name))
        case ListShape():
            if value:
                yield from _places(shape.member, value[0], (*place, 0))
        case MapShape():
            for key, member in value.items():
                yield from _places(shape.value, member, (*place, key))


def _wrong_values(shape: Shape, right: Any) -> Iterator[tuple[str, Any, str]]:
    """(what is wrong, the value, what is said about it)."""
    for other in _OTHER_TYPES.get(shape.type_name, ()):
        yield "wrong type", other, ""
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in {"integer", "long"}:
        if least is not None:
            yield "too small", least - 1, f"Member must have value greater than or equal to {least}"
        if most is not None:
            yield "too great", most + 1, f"Member must have value less than or equal to {most}"
    elif shape.type_name in {"string", "list", "map"}:
        if least:
            yield "too short", _of_length(shape, right, least - 1), f"length greater than or equal to {least}"
        if most is not None:
            yield "too long", _of_length(shape, right, most + 1), f"length less than or equal to {most}"
    if shape.metadata.get("enum"):
        yield "bad enum", "read-only", "Member must satisfy enum value set: ["
        yield "bad enum", shape.metadata["enum"][0].swapcase(), "Member must satisfy enum value set: ["
    if "pattern" in shape.metadata:
        length = len(right)
        said = f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}"
        for strange in _STRANGE:
            text = right[: length // 2] + strange + right[length // 2 + 1 :]
            if not _fits(shape, text) and _is_no_line_terminator(shape, strange):
                yield "bad pattern", text, said


def _is_no_line_terminator(shape: Shape, strange: str) -> bool:
    """Java's and Python's `.` differ about these; what Java says is tested with the patterns themselves."""
    return "." not in re.sub(r"\[.*?\]|\\.", "", shape.metadata["pattern"]) or strange not in "\n\u2028"


def _of_length(shape: Shape, right: Any, length: int) -> Any:
    match shape:
        case ListShape():
            return [right[0] if right else _example(shape.member)] * length
        case MapShape():
            key, value = next(iter(right.items()))
            keys = [key, *(name for name in shape.key.metadata.get("enum", ()) if name != key)]
            keys += [f"{key}{number}" for number in range(length)]
            return dict.fromkeys(keys[:length], value)
        case _:
            return (right * (length // len(right) + 1))[:length]


def _at(value: Any, place: Path) -> Any:
    for part in place:
        value = value[part]
    return value


def _with(whole: dict[str, Any], place: Path, wrong: Any) -> Any:
    if not place:
        return wrong
    body = copy.deepcopy(whole)
    _at(body, place[:-1])[place[-1]] = wrong
    return body
