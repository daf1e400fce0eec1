"""``django.db`` as a library of ``inputs``: recorded with databases, replayed without any."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tracediff import codec, values
from tracediff.model import Trace

PROJECT = Path(__file__).parents[2] / "fixtures" / "django"
TOKEN = "planted-token-4711"


def postgres_settings(postgres: Any, name: str, **options: Any) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": name, "USER": "postgres",
        "HOST": "127.0.0.1", "PORT": postgres.port, "PASSWORD": postgres.password, **options,
    }  # fmt: skip


class Django:
    """The project of ``fixtures/django`` with its databases, and what was recorded of it."""

    def __init__(
        self, shop: Any, databases: dict[str, Any], *, inputs: str = '"django.db"'
    ) -> None:
        self.shop = shop
        self.databases = json.dumps(databases)
        shutil.copytree(PROJECT, shop.directory, dirs_exist_ok=True)
        engine = databases["default"]["ENGINE"].rpartition(".")[2]
        shop.write("shop/engine.py", f"ENGINE = {engine!r}\n")
        shop.settings('inputs = ["django.db"]\n')
        done = shop.run("-m", "shop.make", SHOP_DATABASES=self.databases)
        assert done.returncode == 0, done.stderr

    def record(self, code: str, module: str = "jobs", **environment: str) -> list[Trace]:
        """Run calls of the jobs with the databases; the new traces."""
        done = self.shop.run(
            "-c", f"from shop.{module} import *\n{code}",
            SHOP_DATABASES=self.databases, **environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return self.shop.recorded()

    def replay(self, trace: Trace, **options: Any) -> Trace:
        """Run a job again where no database is."""
        return self.shop.replay(trace, **options)

    def check(self, trace: Trace, *, in_order: bool = True) -> Trace:
        """Replay, and compare every step."""
        new = self.replay(trace)
        assert not new.replay.misses, new.replay.misses
        assert new.steps[0].error is None, new.steps[0].error
        assert not new.replay.unused, [trace.steps[one].name for one in new.replay.unused]
        assert self.shop.result(new) == self.shop.result(trace)
        steps = [
            [(one.name, one.args, one.result, one.error and one.error.type) for one in side.steps]
            for side in (new, trace)
        ]
        if not in_order:
            steps = [sorted(side, key=repr) for side in steps]
        assert steps[0] == steps[1]
        return new


@pytest.fixture(scope="session")
def on_postgres(new_shop: Callable[[], Any], postgres: Any) -> Django:
    for name in ("shop", "archive"):
        postgres.create_database(name)
    databases = {name: postgres_settings(postgres, name) for name in ("shop", "archive")}
    return Django(new_shop(), {"default": databases["shop"], "archive": databases["archive"]})


@pytest.fixture(scope="session")
def on_sqlite(new_shop: Callable[[], Any]) -> Django:
    shop = new_shop()
    engine = {"ENGINE": "django.db.backends.sqlite3"}
    return Django(
        shop,
        {
            "default": {**engine, "NAME": str(shop.directory / "shop.sqlite3")},
            "archive": {**engine, "NAME": str(shop.directory / "archive.sqlite3")},
        },
    )


@pytest.fixture(params=["on_postgres", "on_sqlite"])
def django(request: pytest.FixtureRequest) -> Django:
    found: Django = request.getfixturevalue(request.param)
    return found


@pytest.mark.slow
def test_what_the_orm_does_is_served_without_a_database(django: Django) -> None:
    traces = django.record("orm(); transactions(); half(3); half(9); cursors(); watched()")
    for trace in traces:
        django.check(trace)


@pytest.mark.slow
def test_kinds_of_postgresql_and_what_its_server_says(on_postgres: Django) -> None:
    kinds, copied = on_postgres.record("kinds(); copied()", "kinds")
    on_postgres.check(kinds)
    assert ["'copy'" in one for one in copied.warnings] == [True]
    (miss,) = on_postgres.replay(copied).replay.misses
    assert miss.name == "django.db cursor.copy"


@pytest.mark.slow
def test_connections_threads_and_asyncio(django: Django) -> None:
    code = "threads(); asyncio.run(asked())"
    for trace in django.record(code, "ways"):
        django.check(trace, in_order=False)


def test_connections_that_close(django: Django) -> None:
    (trace,) = django.record("closes()", "ways")
    django.check(trace)


@pytest.mark.slow
def test_objects_are_arguments_and_results_and_what_was_not_loaded_is_served(
    on_sqlite: Django,
) -> None:
    taken, loads = on_sqlite.record("run()", "objects")
    on_sqlite.check(taken)
    new = on_sqlite.check(loads)
    assert [one.name for one in new.steps if one.kind == "input"] == [
        "django.db connection", "django.db SELECT shop_item", "django.db SELECT shop_item",
        "django.db SELECT shop_category",
    ]  # fmt: skip
    on_sqlite.shop.change('LOOK = ""', 'LOOK = "code"', "shop/objects.py")
    try:
        new = on_sqlite.replay(taken)
    finally:
        on_sqlite.shop.change('LOOK = "code"', 'LOOK = ""', "shop/objects.py")
    assert new.steps[0].error is not None
    assert (
        "the field 'code' of a recorded shop.models.Item was not loaded"
        in new.steps[0].error.message
    )


@pytest.mark.slow
def test_secrets_are_in_no_trace_and_a_job_that_hands_them_on_replays(django: Django) -> None:
    looks, secret = reversed(django.record(f"secret({TOKEN!r}); looks()", "ways"))
    new = django.check(secret)
    assert django.shop.result(secret) == ["ada@example.org", 1, [1], True, "ada@example.org", True]
    files = (django.shop.directory / ".tracediff").rglob("*")
    files = [one for one in files if one.is_file() and "sources" not in one.parts]
    kept = b"".join(one.read_bytes() for one in files)
    kept += codec.dump(secret) + codec.dump(looks) + codec.dump(new)
    assert b"shop_account" in kept
    assert b"ada@example.org" in kept
    password = json.loads(django.databases)["default"].get("PASSWORD", "no-password")
    texts = ["planted-hash", "planted-raw", TOKEN, "1f1f0c7be777", password]
    assert [one for one in texts if one.encode() in kept] == []
    new = django.replay(looks)
    assert new.steps[0].error is not None
    assert "has no exact recording" in new.steps[0].error.message


@pytest.mark.slow
def test_a_server_that_is_down_is_down_in_the_replay(on_postgres: Django) -> None:
    done = on_postgres.shop.run("-c", "from shop.ways import *; down()")
    assert done.returncode == 0, done.stderr
    (trace,) = on_postgres.shop.recorded()
    assert on_postgres.shop.result(trace) == ("OperationalError", "OperationalError", True)
    on_postgres.check(trace)


@pytest.mark.slow
def test_new_code_misses_what_was_not_recorded_and_says_what_differs(on_sqlite: Django) -> None:
    on_sqlite.shop.write("shop/asks.py", ASKS)
    half, sells = on_sqlite.record("part(2); sells()", "asks")
    on_sqlite.check(half)
    on_sqlite.check(sells)
    shop = on_sqlite.shop
    shop.change("READ = 0", "READ = 4", "shop/asks.py")
    (miss,) = shop.replay(half).replay.misses
    assert miss.name == "django.db rows that were not fetched"
    shop.change("price__lt=5", "price__lt=6", "shop/asks.py")
    (miss,) = shop.replay(sells).replay.misses
    assert miss.name == "django.db SELECT shop_item"
    ((_, changes),) = miss.nearest
    assert [one.path for one in changes] == [("params", "price")]
    assert [str(changes[0].old), str(changes[0].new)] == ["5", "6"]
    new = shop.replay(sells, on_miss="nearest")
    assert shop.result(new)[0] == ["asked 0", "asked 1"]
    shop.change("price__lt=6", "price__lt=5", "shop/asks.py")
    shop.change(
        "# more",
        "Tag.objects.create(name='audit'); late = Item.objects.create(name='late', price=2)",
        "shop/asks.py",
    )
    new = shop.replay(sells)
    assert not new.replay.misses
    assert shop.result(new) == shop.result(sells)
    assert "django.db INSERT shop_tag" in [one.name for one in new.steps]
    shop.change("return [names", "str(late.pk); return [names", "shop/asks.py")
    assert "not recorded" in shop.replay(sells).steps[0].error.message


ASKS = """
    import shop.start
    from shop.models import Item, Tag
    from django.db import connection, transaction
    import tracediff as td

    READ = 0

    @td.job("part")
    def part(count):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 UNION SELECT 2 UNION SELECT 3")
            return [cursor.fetchone() for _ in range(READ or count)]

    @td.job("sells")
    def sells():
        Item.objects.bulk_create([Item(name=f"asked {n}", price=n + 1) for n in range(2)])
        names = [one.name for one in Item.objects.filter(price__lt=5, name__startswith="asked")]
        # more
        with transaction.atomic():
            sold = Item.objects.filter(name="asked 1").update(price=3)
        return [names, sold]
"""


def test_outside_of_a_job_databases_are_plain_and_in_a_replay_not_reached(
    on_sqlite: Django,
) -> None:
    on_sqlite.shop.write(
        "shop/outside.py",
        """
        import shop.start
        import threading
        from shop.models import Tag
        import tracediff as td

        FOUND = []

        def write():
            for one in (lambda: Tag.objects.create(name="outside"), Tag.objects.count):
                try:
                    one()
                except BaseException as error:
                    FOUND.append(type(error).__name__)

        @td.job("outside")
        def outside():
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
            return len(FOUND)
        """,
    )
    (trace,) = on_sqlite.record(
        "Tag.objects.all().delete(); outside(); Tag.objects.get()", "outside"
    )
    assert [one.name for one in trace.steps] == ["outside"]
    new = on_sqlite.replay(trace)
    assert on_sqlite.shop.result(new) == 2
    assert [(one.kind, one.name) for one in new.replay.misses] == [
        ("input", "django.db connection"), ("input", "django.db connection"),
    ]  # fmt: skip


@pytest.mark.slow
def test_files_that_a_job_saves_and_deletes_in_a_storage_are_outputs(
    on_sqlite: Django, tmp_path: Path
) -> None:
    shop = on_sqlite.shop
    shop.write("shop/uploads.py", UPLOADS)
    shop.settings('inputs = ["django.db", "open"]\n')
    (tmp_path / "old.csv").write_text("old")
    try:
        (trace,) = on_sqlite.record(f"uploads({str(tmp_path)!r})", "uploads")
        names, left, again, refused = shop.result(trace)
        assert (names[0], left, again) == ("list.csv", b"", b"a,b\n")
        assert refused == "SuspiciousFileOperation"
        assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*names, "password.txt"])
        save = next(one for one in trace.steps if one.name == "django storage save")
        assert values.inert(save.args) == {"name": "list.csv", "size": 4, "content": "a,b\n"}
        assert b"planted" not in codec.dump(trace)
        for one in tmp_path.iterdir():
            one.unlink()
        (tmp_path / "old.csv").write_text("kept")
        on_sqlite.check(trace)
        shop.change("# more", 'names.append(storage.save("more.csv", content))', "shop/uploads.py")
        assert shop.result(on_sqlite.replay(trace))[0] == [*names, "more.csv"]
        assert [one.read_text() for one in tmp_path.iterdir()] == ["kept"]
    finally:
        shop.settings('inputs = ["django.db"]\n')


UPLOADS = """
    import shop.start
    from django.core.exceptions import SuspiciousFileOperation
    from django.core.files.base import ContentFile
    from django.core.files.storage import FileSystemStorage
    import tracediff as td

    @td.job("uploads")
    def uploads(directory):
        storage = FileSystemStorage(directory)
        content = ContentFile(b"a,b\\n", name="list.csv")
        names = [storage.save(None, content), storage.save("list.csv", content)]
        left = content.read()
        storage.save("password.txt", ContentFile(b"planted"))
        storage.delete("old.csv")
        try:
            storage.save("../list.csv", content)
        except SuspiciousFileOperation as error:
            refused = type(error).__name__
        # more
        with storage.open(names[0]) as file:
            return names, left, file.read(), refused
"""


@pytest.mark.slow
def test_a_change_of_a_model_and_of_its_job_is_explained_without_a_database(
    on_sqlite: Django,
) -> None:
    shop = on_sqlite.shop
    shop.write(
        "shop/price.py",
        """
        import shop.start
        from decimal import Decimal
        from shop.models import Category, Item
        import tracediff as td

        @td.job("price")
        def price(name):
            items = Category.objects.get(name=name).items.order_by("id")
            return {"total": sum((one.price + 1 for one in items), Decimal(0)),
                    "names": [one.shown() for one in items]}

        def fill():
            category = Category.objects.create(name="explained")
            for n in range(2):
                Item.objects.create(name=f"i{n}", price=n + 1, category=category)
        """,
    )
    (trace,) = on_sqlite.record("fill(); price('explained')", "price")
    shop.change("one.price + 1", "one.price + 3", "shop/price.py")
    shop.change('f"<{self.name}>"', 'f"({self.name})"', "shop/models.py")
    done = shop.cli("explain", trace.id)
    shop.change('f"({self.name})"', 'f"<{self.name}>"', "shop/models.py")
    assert done.returncode == 1, done.stderr
    assert "5.00 → 9.00" in done.stdout, done.stdout
    assert "shop.models:Item.shown" in done.stdout, done.stdout
    assert "steps reproduced" in done.stdout
