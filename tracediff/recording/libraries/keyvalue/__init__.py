"""What is recorded of the commands that a client of Redis sends, and how a replay answers."""
