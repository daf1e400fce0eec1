"""Traces and comparisons as lines of styled text for a terminal."""
