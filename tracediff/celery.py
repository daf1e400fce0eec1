"""``import tracediff.celery``: the tasks of this process's Celery apps are jobs.

One line in the module that makes the app. With ``tracediff.django`` in ``INSTALLED_APPS``, or under
``tracediff record``, it is not needed.
"""

from tracediff.frameworks import watch

watch()
