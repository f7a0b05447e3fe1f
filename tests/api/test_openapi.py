"""The description of the API is true: it is valid, whole, and what the apps do."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api.http import docs
from api.order.documents import CommandAnswer, OrderHistoryDocument, OrderList
from api.order.order_document import OrderDocument
from api.order.resources import RESOURCES
from tests.api.api import Api

BOTH = pytest.mark.parametrize("name", ["commands", "queries"])


def definition(api: Api, name: str) -> Any:
    app = api.command_app if name == "commands" else api.query_app
    return api.ask(app, f"/openapi/{name}.json").json()


def test_each_definition_has_the_operations_of_its_app(api: Api) -> None:
    operations = {
        name: {
            (method, path)
            for path, item in definition(api, name)["paths"].items()
            for method in item
        }
        for name in ("commands", "queries")
    }
    assert operations == {
        "commands": {
            ("post", "/v1/orders"),
            ("post", "/v1/orders/{order_id}/cancellations"),
            ("post", "/v1/orders/{order_id}/holds"),
            ("post", "/v1/orders/{order_id}/hold-releases"),
            ("post", "/v1/orders/{order_id}/address-changes"),
            ("post", "/v1/orders/{order_id}/revisions"),
            ("post", "/v1/orders/{order_id}/shipments"),
            ("post", "/v1/orders/{order_id}/returns"),
            ("post", "/v1/shipments/{shipment_id}/dispatches"),
            ("post", "/v1/shipments/{shipment_id}/events"),
            ("post", "/v1/shipments/{shipment_id}/cancellations"),
            ("post", "/v1/returns/{return_id}/approvals"),
            ("post", "/v1/returns/{return_id}/receipts"),
            ("post", "/v1/returns/{return_id}/cancellations"),
            ("post", "/v1/payments/{order_id}/refunds"),
            ("post", "/v1/webhooks/payments/{provider}"),
            ("post", "/v1/webhooks/carriers/{carrier}"),
            ("post", "/v1/stock-items"),
            ("post", "/v1/stock-items/{sku}/receipts"),
            ("post", "/v1/stock-items/{sku}/adjustments"),
        },
        "queries": {
            ("get", "/v1/orders"),
            ("get", "/v1/orders/{order_id}"),
            ("get", "/v1/orders/{order_id}/history"),
            ("get", "/v1/stock-items/{sku}"),
        },
    }


@BOTH
def test_a_definition_is_whole(api: Api, name: str) -> None:
    document = definition(api, name)
    assert document["openapi"].startswith("3.1.")
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["info"]["version"])
    components = document["components"]
    assert components["securitySchemes"]["bearer"]["bearerFormat"] == "JWT"
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert named <= set(components["schemas"])
    assert "HTTPValidationError" not in components["schemas"]
    for item in document["paths"].values():
        for operation in item.values():
            public = operation["tags"] == ["webhooks"]
            assert operation["security"] == ([] if public else [{"bearer": []}])
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert set(response["content"]) == {"application/problem+json"}
            if "requestBody" in operation:
                assert operation["requestBody"]["required"]


def test_the_headers_that_we_read_are_described(api: Api) -> None:
    described = {
        parameter["name"]
        for name in ("commands", "queries")
        for item in definition(api, name)["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "header"
    }
    assert described == {"Idempotency-Key", "If-Match", "If-None-Match", "Prefer"}


def test_the_table_of_resources_is_what_the_apps_serve(api: Api) -> None:
    served: dict[str, set[str]] = {}
    for app in (api.command_app, api.query_app):
        for path, methods in _routes(app):
            served.setdefault(path, set()).update(methods)
    assert {path: ", ".join(sorted(methods)) for path, methods in served.items()} == RESOURCES


def test_what_is_sent_is_what_the_models_say(api: Api) -> None:
    answer = api.placed()
    CommandAnswer.model_validate(answer)
    order = f"/v1/orders/{answer['order_id']}"
    OrderDocument.model_validate_json(api.get(order).content)
    OrderList.model_validate_json(api.get("/v1/orders").content)
    OrderHistoryDocument.model_validate_json(api.get(f"{order}/history").content)


def test_the_pages_come_whole_from_this_machine(api: Api) -> None:
    page = api.get("/docs", role=None)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    addresses = re.findall(r'(?:src|href|value)="([^"]+)"', page.text)
    assert {"/openapi/commands.json", "/openapi/queries.json"} <= set(addresses)
    for address in addresses:
        app = api.command_app if address == "/openapi/commands.json" else api.query_app
        assert api.ask(app, address).status_code == 200, address
    assert {f"/docs/{name}" for name in docs.ASSETS} <= set(addresses)


def _routes(app: FastAPI) -> list[tuple[str, set[str]]]:
    return [
        (context.path, set(context.methods))
        for context in iter_route_contexts(app.routes)
        if context.path is not None and context.methods is not None
    ]
