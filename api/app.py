"""Puts the console together: guard, routes, error pages, static files."""

from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

import api.pages.accounts
import api.pages.alerts
import api.pages.lists
import api.pages.others
import api.pages.sign_in
import api.pages.unblock
import api.public
import api.v1.accounts
import api.v1.alerts
import api.v1.audit
import api.v1.events
import api.v1.explain
import api.v1.health
import api.v1.keyword_preview
import api.v1.list_preview
import api.v1.list_sources
import api.v1.me
import api.v1.numbers
import api.v1.stream
import api.v1.unblock
from analyser.service import Analyser
from api.console import Console
from api.errors import add_error_handlers
from api.guard import Guard
from api.render import STATIC
from api.settings import ConsoleSettings

# The stream stands before the alerts, whose `/{alert_id}` would take its name for a number.
ROUTERS: tuple[APIRouter, ...] = (
    api.v1.stream.router, api.v1.alerts.router, api.v1.events.router, api.v1.unblock.router, api.v1.health.router, api.v1.explain.router,
    api.v1.list_preview.router, api.v1.list_sources.router, api.v1.keyword_preview.router, api.v1.audit.router, api.v1.accounts.router,
    api.v1.me.router, api.v1.numbers.router, api.public.router, api.pages.lists.router,
    api.pages.sign_in.router, api.pages.alerts.router, api.pages.unblock.router, api.pages.others.router, api.pages.accounts.router,
)  # fmt: skip


class CachedFiles(StaticFiles):
    """Static files, whose addresses carry a digest of their content and may be kept for a year."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the file."""
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def create_app(analyser: Analyser, settings: ConsoleSettings) -> FastAPI:
    """Make the console's application around a running analyser; serve it in the analyser's event loop."""
    app = FastAPI(title="Schoolgate", openapi_url=None, docs_url=None, redoc_url=None)
    console = Console(analyser, settings)
    app.state.console = console
    add_error_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", CachedFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, console=console)
    return app
