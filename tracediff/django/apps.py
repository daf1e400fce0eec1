"""The application that Django loads."""

from __future__ import annotations

from django.apps import AppConfig

from tracediff.frameworks import watch

watch()  # before Django imports the models, and what imports them


class Tracediff(AppConfig):  # type: ignore[misc]  # Django ships no types
    """Nothing but its being there: the hooks are set when this module is imported."""

    name = "tracediff.django"
    label = "tracediff"
    verbose_name = "tracediff"
