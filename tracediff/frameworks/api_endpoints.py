"""FastAPI: its routes handle requests themselves, what is said of Starlette's holds for them."""

from __future__ import annotations

from fastapi.applications import FastAPI
from fastapi.routing import APIRoute

from tracediff.frameworks import applications
from tracediff.frameworks.endpoints import hook_route


def hook() -> None:
    """Record the endpoints of FastAPI's routes, once."""
    hook_route(APIRoute)
    applications.hook_made(FastAPI)
