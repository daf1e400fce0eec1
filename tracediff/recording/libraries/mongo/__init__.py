"""What is recorded of the commands that a driver of MongoDB sends, and how a replay answers."""
