"""``INSTALLED_APPS = [..., "tracediff.django"]``: views, commands and Celery tasks are jobs."""
