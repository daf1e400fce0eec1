"""``import tracediff.asgi``: what endpoints of Starlette and FastAPI answer are jobs.

One line in the module that makes the application; under ``tracediff record`` it is not needed. For
other ASGI applications there is ``Middleware``.
"""

from tracediff.frameworks import watch
from tracediff.frameworks.asgi_middleware import Middleware

__all__ = ["Middleware"]

watch()
