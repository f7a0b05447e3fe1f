"""The API's pages: Swagger UI over both definitions, from this machine only, nothing fetched."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from starlette.responses import Response

from api.http.problems import ProblemError

router = APIRouter(include_in_schema=False)

POLICY = (
    "default-src 'none'; connect-src 'self'; font-src 'self' data:; img-src 'self' data:; "
    "script-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_PAGES = files("api.http") / "static"
# Installed for its copy of Swagger UI 5 (OpenAPI 3.1); its code is not used.
_SWAGGER_UI = files("fastapi_swagger") / "resources"
ASSETS: Mapping[str, tuple[Traversable, str]] = {
    "docs.js": (_PAGES, "text/javascript"),
    "swagger-ui-bundle.js": (_SWAGGER_UI, "text/javascript"),
    "swagger-ui.css": (_SWAGGER_UI, "text/css"),
    "favicon-32x32.png": (_SWAGGER_UI, "image/png"),
}


@cache
def _asset(name: str) -> bytes:
    folder, _ = ASSETS[name]
    return (folder / name).read_bytes()


@router.head("/docs")
@router.get("/docs")
async def docs() -> Response:
    return Response(
        (_PAGES / "docs.html").read_bytes(),
        headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"},
        media_type="text/html",
    )


@router.head("/docs/{asset}")
@router.get("/docs/{asset}")
async def docs_asset(asset: str) -> Response:
    if asset not in ASSETS:
        raise ProblemError(404, "not_found")
    _, media_type = ASSETS[asset]
    return Response(_asset(asset), headers={"Cache-Control": "max-age=3600"}, media_type=media_type)
