"""What an HTTP exchange is in a trace, whichever library made it."""
