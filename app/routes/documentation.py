"""`/docs`: Swagger UI, from files that came with a package; nothing is fetched from elsewhere."""

from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from swagger_ui_bundle import swagger_ui_path

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"]

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> RedirectResponse:
    """There is nothing else to see for a browser."""
    return RedirectResponse("docs")


@router.get("/docs")
async def documentation() -> HTMLResponse:
    """Relative addresses: it works behind a proxy that adds a prefix, too."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="SER-FIQ",
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="docs/assets/favicon-32x32.png",
        # Swagger UI would send the document to a validator on the Internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
    return HTMLResponse(bytes(page.body).replace(b"<html>", b'<html lang="en">'))


@router.get("/openapi.json")
async def openapi(request: Request) -> dict[str, Any]:
    """The document that the page shows."""
    document: dict[str, Any] = request.app.openapi()
    return document


@router.get("/docs/assets/{name}")
async def asset(name: Asset) -> FileResponse:
    """One of the three files that the page needs."""
    return FileResponse(swagger_ui_path / name)
