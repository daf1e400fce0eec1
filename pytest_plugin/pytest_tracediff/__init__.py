"""The pytest plugin: recorded traces as regression tests."""
