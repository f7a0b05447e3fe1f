"""Describe the routes in OpenAPI 3.1: bodies, headers, problems and the bearer token.

Rule: the description is made from the models and tables that the routes run on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http.problems import MEDIA_TYPE

REF = "#/components/schemas/{model}"
BEARER = "bearer"
Responses = dict[int | str, dict[str, Any]]
Parameter = dict[str, Any]
Models = type[BaseModel] | tuple[type[BaseModel], ...]
"""One model, or several of which it is one."""

PROBLEMS: Mapping[int, str] = {
    400: "The request is malformed: the JSON, a header, an `Idempotency-Key` that is missing.",
    401: "There is no token, or it is not valid here.",
    403: "A token of this role may not do this.",
    404: "There is no such order, or it is somebody else's.",
    409: "The order can't do this any more, or the reference is taken.",
    412: "The order has changed since the view that `If-Match` names.",
    413: "The body is over 1 MiB.",
    415: "The body is not `application/json`.",
    422: "Some of the request is not valid, or a rule of the domain refuses it.",
    500: "Our fault; `correlation_id` finds it in our logs.",
    503: "A part that this needs does not answer; try again after `Retry-After` seconds.",
}


class FieldError(BaseModel):
    """What is wrong where: one of pointer (into the body), parameter, header."""

    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None
    detail: str


class Problem(BaseModel):
    """RFC 9457. `code` is stable, and is also the last part of `type`."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    errors: list[FieldError] | None = None


@dataclass(frozen=True, slots=True)
class Documentation:
    """What an app says of itself. `models` go into the components, for `ref` to name."""

    title: str
    description: str
    url: str
    models: Sequence[type[BaseModel]] = ()

    @property
    def version(self) -> str:
        """The installed package's; the source tree's own where it is not installed."""
        try:
            return version("ordertrail")
        except PackageNotFoundError:
            return "0.1.0"


def ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def reads(*parameters: Parameter, body: Models | None = None) -> dict[str, Any]:
    """Give the `openapi_extra` of a route: it takes its request apart itself, and a token."""
    extra: dict[str, Any] = {"security": [{BEARER: []}], "parameters": list(parameters)}
    if body is not None:
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _schema(body)}},
        }
    return extra


def path(name: str) -> Parameter:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def header(name: str, description: str) -> Parameter:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def query(model: type[BaseModel]) -> Sequence[Parameter]:
    """Describe the query parameters that a model reads; the models that it names are known."""
    described = []
    for name, schema in model.model_json_schema(ref_template=REF)["properties"].items():
        parameter: Parameter = {"name": name, "in": "query", "required": False, "schema": schema}
        if "description" in schema:
            parameter["description"] = schema["description"]
        described.append(parameter)
    return described


def responses(
    status: int,
    model: Models,
    headers: Mapping[str, str],
    *refusals: int,
) -> Responses:
    """Describe the success of a route, with its headers, and the problems that it may answer.

    Several models: one of them, by what was asked for.
    """
    described: Responses = {
        status: {
            "description": "Done" if status == 201 else "Found",  # noqa: PLR2004
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in headers.items()
            },
            "content": {"application/json": {"schema": _schema(model)}},
        }
    }
    for refusal in (*refusals, 401, 403, 422, 500, 503):
        described[refusal] = {
            "description": PROBLEMS[refusal],
            "content": {MEDIA_TYPE: {"schema": ref(Problem)}},
        }
    described[401]["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    described[503]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return described


def _schema(model: Models) -> dict[str, Any]:
    return {"oneOf": [ref(one) for one in model]} if isinstance(model, tuple) else ref(model)


def document(app: FastAPI, documentation: Documentation) -> None:
    """Let the app's OpenAPI document hold the models that its routes name by `ref`."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            models: list[type[BaseModel]] = [*documentation.models, Problem]
            _, definitions = models_json_schema(
                [(model, "validation") for model in models], ref_template=REF
            )
            components = schema.setdefault("components", {})
            components.setdefault("schemas", {}).update(definitions["$defs"])
            components["securitySchemes"] = {
                BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            }
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
