"""``make demo-shop``: record a Django and Celery service, stop all of it, change its code, explain.

Starts PostgreSQL, Redis and a service of exchange rates on this machine, lays out the service of
``fixtures/shop`` in a git repository, adds tracediff to its configuration and nothing to its code,
and runs its web process and its worker. Some orders are placed. Then everything is stopped, three
commits of colleagues come in, and one order is explained; the rest is said to the reader.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from servers.shop import BIN, RECORD, Shop, adopt, lay_out  # noqa: E402 - the checkout is on the path
from tracediff import demo  # noqa: E402 - the same
from tracediff.api import open_project  # noqa: E402 - the same
from tracediff.cli.exits import DIFFERENT  # noqa: E402 - the same
from tracediff.model import Query  # noqa: E402 - the same

TASK = "shop/tasks/price_order"

ORDERS = [
    ("C1001", {"FILTER-100": 24, "BEANS-250": 16, "DRIPPER-02": 10, "SCALE-01": 2}),
    ("C1003", {"KETTLE-09": 1, "BOOK-BREW": 2}),
    ("C1002", {"BEANS-1KG": 20, "GRINDER-M": 1}),
    ("C1004", {"BEANS-250": 12}),
    ("C1005", {"CUP-SET4": 2, "DRIPPER-02": 1}),
    ("C1006", {"MACHINE-X1": 1}),
]
"""Who orders what; the first is the one that is explained."""


def main() -> int:
    """Run the demonstration; 0 when the order's price was explained."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--directory", type=Path, help="where the service goes; it stays there")
    chosen = parser.parse_args().directory or Path(tempfile.mkdtemp(prefix="tracediff-shop-"))
    directory = chosen.resolve()
    service = directory / "shop"
    say(f"laying out the service in {service}, with tracediff in its configuration")
    adopt(lay_out(service))
    say("starting PostgreSQL, Redis and the exchange rates")
    with Shop(service, directory / "logs") as shop:
        say(f"starting its web process and its worker: {' '.join(RECORD)} gunicorn …, celery …")
        shop.start_web(RECORD)
        shop.start_worker(RECORD)
        record(shop)
        shop.stop()
        environment = shop.environment
    say("stopped all of it: nothing answers any more")
    demo.git(service, "merge", "--quiet", "--no-edit", "spring")
    say("merged three commits of colleagues; explaining the first order's price")
    print(flush=True)
    found = explained(service, environment)
    tell(directory, shop.settings)
    return found


def record(shop: Shop) -> None:
    """Place the orders, and ask for a quote."""
    for customer, items in ORDERS:
        order = shop.priced(shop.place(customer, items))
        say(f"  {customer} pays {order['total']} {order['currency']}")
    shop.quote("C1003", "SCALE-01", 2)


def explained(service: Path, environment: Mapping[str, str]) -> int:
    """Show the explanation of the first order's price; 0 when it was explained."""
    with open_project(start=service) as project:
        rows = project.search(Query(key=TASK)).rows
    done = subprocess.run(
        [str(BIN / "tracediff"), "explain", rows[-1].id],
        cwd=service, env=dict(environment), stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return 0 if done.returncode == DIFFERENT else 1


def tell(directory: Path, settings: Mapping[str, str]) -> None:
    """Say what the reader may type next."""
    lines = [f"export {name}={shlex.quote(text)}" for name, text in settings.items()]
    (directory / "environment").write_text("\n".join([*lines, ""]), encoding="utf-8")
    print(f"""
Next, with all of it stopped:

  cd {directory / "shop"}
  . ../environment                                  # where its servers were
  export PATH={BIN}:$PATH
  tracediff ls shop/tasks                           # what the worker did
  tracediff show {TASK}@last
  tracediff compare shop/views/place_order@last     # the web process: nothing changed there
  tracediff compare {TASK}@last
  tracediff check --key {TASK}                      # every order, the changes by cause
""")


def say(text: str) -> None:
    """One line of what goes on."""
    print(f"demo-shop: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
