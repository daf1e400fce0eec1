"""``gc`` and ``erase`` on the command line: what they show, refuse, ask and write."""

from __future__ import annotations

import json
import signal
import subprocess


def segments(project) -> bytes:
    found = (project.directory / ".tracediff" / "segments").glob("*.seg")
    return b"".join(path.read_bytes() for path in found)


def test_gc_shows_what_goes_and_takes_it(project):
    project.write("old.py", "import tracediff as td\n@td.job('old/one', retention=1)\n"
                            "def one(n): return n\nfor n in range(3): one(n)\n")  # fmt: skip
    assert project.python("import old").code == 0
    project.python(
        "from tracediff.stores.local import LocalStore\nfrom pathlib import Path\n"
        "from dataclasses import replace\nfrom tracediff.model import Query\n"
        "store = LocalStore(Path('.tracediff'))\n"
        "for row in store.search(Query(key='old')).rows:\n"
        "    store.index.update(replace(row, expires_at=1))\nstore.close()\n"
    )
    json_form = ("--format", "json")
    would, clean, text, machine = project.batch(
        ("gc", "--dry-run"), ("gc", *json_form), ("gc",), ("gc", "--dry-run", *json_form)
    )
    assert (would.code, clean.code, text.code) == (0, 0, 0)
    assert "would be freed; looked at 8 traces" in would.out
    assert "3 rows of expired traces would be removed" in would.out
    found = clean.document
    assert (found["schema"], found["rows"]) == ("tracediff/gc/1", 3)
    assert sum(one["count"] for one in found["freed"].values()) == 3
    assert text.out == "0 B freed; looked at 5 traces in 1 segment\n"
    assert machine.document["bytes"] == 0
    assert len(project.ids()) == 5
    assert project.run("doctor").code == 0


def test_gc_says_that_another_runs_and_refuses_what_it_cannot_clean(project):
    busy = subprocess.Popen(
        project.command("gc"), cwd=project.directory, env=project.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    busy.communicate(timeout=60)
    holder = (
        "import fcntl, os, subprocess, sys\n"
        "file = os.open('.tracediff/gc.lock', os.O_RDWR)\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "done = subprocess.run([sys.executable, '-m', 'tracediff', 'gc'], capture_output=True)\n"
        "sys.stdout.write(f'{done.returncode} {done.stderr.decode()}')\n"
    )
    done = project.python(holder)
    assert done.out.startswith("2 error: another gc cleans this store up")
    assert "docs/errors.md#gc-running" in done.out
    for command in (("gc",), ("gc", "--dry-run"), ("stats", "--verify")):
        project.refused(*command, "--store", "nowhere", slug="store-missing")
    project.refused("gc", "--store", "memory:x", slug="gc-unsupported")
    project.refused("gc", "--grace", "1x", slug="usage", words=("1x",))


def test_a_store_that_is_not_there_is_clean(empty):
    done = empty.run("gc")
    assert (done.code, done.out) == (0, "0 B freed; looked at 0 traces in 0 segments\n")
    assert not (empty.directory / ".tracediff").exists()


def test_an_interrupted_run_exits_130_and_the_next_one_goes_on(project):
    stopped = project.python(
        "import os, signal, sys\n"
        "from tracediff.cli import exits, group\n"
        "from tracediff.stores.upkeep import collecting\n"
        "def walk(self): os.kill(os.getpid(), signal.SIGINT)\n"
        "collecting._Run._walk = walk\n"
        "sys.exit(exits.run(group, ['gc']))\n"
    )
    assert (stopped.code, stopped.err.lstrip()) == (128 + signal.SIGINT, "interrupted\n")
    assert project.run("gc").code == 0


def test_erase_shows_asks_erases_verifies_and_leaves_a_receipt(project):
    shown, refused, unsaid, nothing = project.batch(
        ("erase", "--tag", "item:apple", "--dry-run"),
        ("erase", "--tag", "item:apple", "--reason", "asked"),
        ("erase", "--tag", "item:apple"),
        ("erase", "--reason", "asked"),
    )
    assert shown.out.startswith("1 trace, ")
    assert "order/total" in shown.out
    assert (refused.code, unsaid.code, nothing.code) == (2, 2, 2)
    assert "--yes" in refused.err
    assert "--reason" in unsaid.err
    assert "--tag, --context or --id" in nothing.err
    assert b"item:apple" in segments(project)

    done = project.run("erase", "--tag", "item:apple", "--reason", "asked", "--yes", "-o", "r.json")
    assert done.code == 0, done
    assert "1 trace erased" in done.out
    assert "looked for again and not found" in done.out
    assert b"item:apple" not in segments(project)
    assert b"item:pear" in segments(project)
    receipt = json.loads((project.directory / "r.json").read_text())
    kept = project.directory / ".tracediff" / "receipts" / f"{receipt['id']}.json"
    assert json.loads(kept.read_text()) == receipt
    assert (receipt["verified"], receipt["traces"], receipt["by"]) == (True, 1, None)
    assert "item:apple" not in json.dumps(receipt)
    for which in ("r.json", receipt["id"]):
        again = project.run("erase", "--verify", which)
        assert (again.code, again.err) == (0, "")
    project.refused("erase", "--verify", "none", slug="receipt-missing")
    project.write("bad.json", "{}")
    project.refused("erase", "--verify", "bad.json", slug="receipt-invalid")


def test_erase_of_what_nothing_carries_asks_nobody(project):
    nothing = ("erase", "--tag", "nobody", "--reason", "asked")
    text, machine, receipt = project.batch(
        nothing, (*nothing, "--format", "json"), (*nothing, "--yes", "--format", "json")
    )
    assert (text.code, text.out) == (0, "no traces match; with --yes a receipt says so\n")
    assert (machine.document["schema"], machine.document["traces"]) == ("tracediff/erase/1", 0)
    assert (receipt.document["schema"], receipt.document["verified"]) == (
        "tracediff/receipt/1",
        True,
    )


def test_erase_takes_ids_and_says_in_clear_who_and_what_if_asked(project):
    trace_id = project.ids("price")[0]
    done = project.run(
        "erase", "--id", "price/one@last", "--reason", "asked", "--by", "jane@shop", "--clear",
        "--yes", "--format", "json",
    )  # fmt: skip
    assert done.code == 0, done
    assert done.document["asked"]["clear"] == [f"id={trace_id}"]
    assert done.document["by"] == "jane@shop"
    assert trace_id not in project.ids()
    assert len(project.ids()) == 4
