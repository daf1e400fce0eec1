"""Many recorded jobs against the code as it is now: what changes, how much, for which reasons."""
