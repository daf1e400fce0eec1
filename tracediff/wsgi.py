"""``import tracediff.wsgi``: what Flask's views answer are jobs.

One line in the module that makes the application; under ``tracediff record`` it is not needed. For
other WSGI applications there is ``Middleware``.
"""

from tracediff.frameworks import watch
from tracediff.frameworks.wsgi_middleware import Middleware

__all__ = ["Middleware"]

watch()
