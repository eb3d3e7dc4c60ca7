"""The models that botocore ships, and the operations in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape, StructureShape


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as its model describes it."""

    service: str
    name: str
    input_shape: StructureShape | None
    output_shape: StructureShape | None
    errors: frozenset[str]
    """The codes of the errors that it lists."""


def find_operation(service: str, name: str) -> Operation | None:
    """The operation of a service; None if its model has none of that name."""
    return _operation(service, name) if name in operation_names(service) else None


@cache
def operation_names(service: str) -> Sequence[str]:
    """The names of a service's operations."""
    names: Sequence[str] = _model(service).operation_names
    return tuple(names)


def rest_operation(service: str, method: str, path: str) -> str | None:
    """The operation of a rest-json service behind a method and path without parameters in it."""
    return _routes(service).get((method, path))


@cache
def _operation(service: str, name: str) -> Operation:
    model = _model(service).operation_model(name)
    errors = frozenset(_code(shape) for shape in model.error_shapes)
    return Operation(service, name, model.input_shape, model.output_shape, errors)


@cache
def _routes(service: str) -> Mapping[tuple[str, str], str]:
    routes = {}
    for name in operation_names(service):
        http = _model(service).operation_model(name).http
        routes[http["method"], http["requestUri"]] = name
    return routes


@cache
def _model(service: str) -> ServiceModel:
    """The newest model of a service that this botocore has."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _code(shape: Shape) -> str:
    """What the wire calls an error: the query protocol has names beside the shapes'."""
    code: str = shape.metadata.get("error", {}).get("code", shape.name)
    return code
