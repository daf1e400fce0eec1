"""The real servers that tests, benchmarks and `make demo-servers` run against.

Each module starts one server on a free port of 127.0.0.1, in a directory of the caller's, and ends
it with the process that started it. Nothing here is part of the installed package.
"""
