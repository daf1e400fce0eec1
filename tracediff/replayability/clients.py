"""Which functions of the project use libraries that reach the outside, told without running them.

A replay that stops at the first thing it lacks does not come to what lies behind. So the names that
functions use are looked up: those of libraries that speak to servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, Final

from tracediff.replayability.evidence import Reading
from tracediff.replayability.loaded import layers, modules
from tracediff.replayability.stack import Stacks, place_in

CLIENTS: Final = frozenset(
    """httpx requests sqlalchemy redis pymongo psycopg psycopg2 asyncpg aiohttp urllib3 boto3 pika
    kafka confluent_kafka elasticsearch opensearchpy cassandra MySQLdb pymysql oracledb pyodbc
    memcache pymemcache smtplib ftplib ldap3 zeep suds grpc websockets""".split()
)
"""Libraries that reach the outside for whoever calls them."""

MOST: Final = 100


def clients(stacks: Stacks) -> Iterator[Reading]:
    """The functions of the project's loaded modules that use such a library, one a name."""
    found = 0
    for _, module, file in modules(stacks):
        space = list(vars(module).items())
        names = {name: top for name, value in space if (top := _library(value))}
        for function in _functions(module) if names else ():
            for name in sorted(names.keys() & set(function.__code__.co_names)):
                if found >= MOST:
                    return
                found += 1
                yield _used(module, function, file, names[name])


def _library(value: Any) -> str:
    """The library that a global variable is, or is of; "" for none."""
    if type(value) is ModuleType:
        name = value.__name__
    elif isinstance(value, type | FunctionType):
        name = str(value.__module__)
    else:
        name = str(type(value).__module__)
    top = name.partition(".")[0]
    return top if top in CLIENTS else ""


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Those that a module and its classes define, beneath their decorators."""
    for value in list(vars(module).values()):
        inner = list(vars(value).values()) if type(value) is type else [value]
        for one in inner:
            *_, function = layers(one)
            if type(function) is FunctionType and function.__module__ == module.__name__:
                yield function


def _used(module: ModuleType, function: FunctionType, file: str, library: str) -> Reading:
    code = function.__code__
    place = place_in(code, code.co_firstlineno, module.__name__, file)
    return Reading(kind="client", what=library, place=place, modules=(library,))
