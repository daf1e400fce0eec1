"""Django's instances and query sets come back as they were, and capturing them asks no database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from ormsgpack import packb

from tracediff.errors import ReplayError
from tracediff.values import Allow, live, tags

ROOT = Path(__file__).parents[2]
START = """
    import shop.start
    import copy, datetime as dt
    from decimal import Decimal
    from django.contrib.auth.models import User
    from django.core.paginator import Paginator
    from django.db import connection
    from django.db.models import Sum
    from django.db.models.signals import post_init, pre_init
    from django.utils.functional import SimpleLazyObject
    from django.utils.safestring import mark_safe
    from shop.models import *
    from tracediff.errors import ReplayError
    from tracediff.values import (
        Allow, Opaque, encode, encode_list, from_json, inert, json_safe, live, text, to_json)

    asked, made = [], []
    watch = lambda run, sql, *rest: (asked.append(sql), run(sql, *rest))[1]
    connection.execute_wrappers.append(watch)

    def back(obj, allow=("shop.*",)):
        asked.clear()
        data = encode(obj)
        assert not asked, asked
        for signal in (pre_init, post_init):
            signal.connect(count)
        found = live(data, Allow(allow))
        for signal in (pre_init, post_init):
            signal.disconnect(count)
        assert not made and not asked, (made, asked)
        again = inert(data)
        assert encode(found) == data and encode(again) == data
        assert from_json(to_json(data)) == data
        json_safe(again), text(again)
        return found

    def count(sender, **rest):
        made.append(sender)

    def said(call):
        try:
            call()
        except ReplayError as error:
            return error.slug, error.message
        raise AssertionError("it did not raise")

    def shown(obj):
        return text(inert(encode(obj)), 400)

    for model in (Item, Category, Tag, User, Account):
        model.objects.all().delete()
    tools = Category.objects.create(name="tools")
    pen, ink = Item.objects.bulk_create([
        Item(name="pen", price=Decimal("1.50"), category=tools, facts={"a": [1, None]},
             picture=b"x"),
        Item(name="ink", price=Decimal("8.00"), category=tools,
             made=dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
    ])
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    directory = tmp_path_factory.mktemp("django")
    shutil.copytree(ROOT / "fixtures" / "django", directory, dirs_exist_ok=True)
    engine = {"ENGINE": "django.db.backends.sqlite3"}
    databases = {"default": {**engine, "NAME": str(directory / "shop.sqlite3")}}
    environment = {**os.environ, "SHOP_DATABASES": json.dumps(databases), "PYTHONPATH": str(ROOT)}

    def code(text: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", text],
            cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    code("import shop.make")
    start = textwrap.dedent(START)
    return lambda text: code(start + textwrap.dedent(text))


def test_instances_come_back_without_constructor_signal_or_query(run: Callable[..., None]) -> None:
    run("""
        for one in (pen, ink, Item.objects.get(pk=ink.pk)):
            found = back(one)
            assert type(found) is Item and found == one and found.pk == one.pk
            mine, its = vars(found).copy(), vars(one).copy()
            state, other = mine.pop("_state"), its.pop("_state")
            assert (state.adding, state.db) == (other.adding, other.db)
            assert {n: v for n, v in mine.items()} == its
        new = back(Item(name="new", price=1))
        assert new._state.adding and new._state.db is None and new.pk is None
        full = back(Item.objects.select_related("category").get(pk=pen.pk))
        assert full.category.name == "tools" and not asked
        wide = back(Item.objects.annotate(double=Sum("price") * 2).get(pk=pen.pk))
        assert wide.double == 3 and type(wide.double) is Decimal
        offer = Offer.objects.create(name="two", price=2, leaflet="a.pdf", percent=5)
        assert offer.leaflet.url.endswith("a.pdf")
        for kind in (Offer, Bargain):
            one = kind.objects.get(pk=offer.pk)
            found = back(one)
            assert type(found) is kind
            assert (found.item_ptr_id, found.leaflet.name) == (one.pk, "a.pdf")
        label = Label(about=pen)
        found = back(label)
        assert found.about == pen and found.about_type.model == "item"
        user = User.objects.create_user("ada")
        assert back(user).username == "ada"
        through = pen.tags.through.objects.create(item=pen, tag=Tag.objects.create(name="t"))
        assert back(through).tag_id == "t"
        assert back(mark_safe("<b>")).__html__() == "<b>"
        lazy = SimpleLazyObject(lambda: pen)
        assert type(inert(encode(lazy))) is Opaque
        lazy.name
        assert live(encode(lazy), Allow(["shop.*"])) == pen
        assert back(Category.objects.get(pk=tools.pk)) == tools
        assert type(inert(encode(Paginator(Item.objects.order_by("id"), 2).page(1)))) is Opaque
        assert not [sql for sql in asked if "COUNT" in sql and "shop_item" not in sql]
        assert said(lambda: live(encode(pen), Allow([])))[0] == "class-not-allowed"
        """)


def test_relations_that_lead_back_come_back_as_the_same_objects(run: Callable[..., None]) -> None:
    run("""
        whole = Category.objects.prefetch_related("items").get(pk=tools.pk)
        found = back(whole)
        items = found.items.all()
        assert [one.name for one in items] == ["pen", "ink"] and len(items) == 2
        assert all(one.category is found for one in items) and not asked
        found, *rest = back([whole, list(whole.items.all())])
        assert all(one.category is found for one in rest[0]) and not asked
        twice = back([pen, pen, Item.objects.get(pk=pen.pk), Item(name="a", price=1)])
        assert twice[0] is twice[1] and twice[2] is not twice[0] and twice[3].name == "a"
        apart = encode_list([encode(pen), encode(Item.objects.only("name").get(pk=pen.pk))])
        full, few = live(apart, Allow(["shop.*"]))
        assert full.price == Decimal("1.50") and "price" not in vars(few)
        many = Category.objects.create(name="many")
        Item.objects.bulk_create(Item(name=str(n), price=n, category=many) for n in range(300))
        whole = Category.objects.prefetch_related("items").get(pk=many.pk)
        assert len(encode([*whole.items.all()])) < 100_000
        """)


def test_what_was_not_loaded_says_so(run: Callable[..., None]) -> None:
    run("""
        few = back(Item.objects.only("name").get(pk=pen.pk))
        assert few.name == "pen" and "price" in few.get_deferred_fields()
        slug, message = said(lambda: few.price)
        assert slug == "field-not-loaded"
        assert message == "the field 'price' of a recorded shop.models.Item was not loaded"
        slug, message = said(lambda: back(pen.__class__.objects.get(pk=pen.pk)).category)
        assert slug == "field-not-loaded"
        assert message == (
            "a recorded shop.models.Item was asked for Category, which was not loaded with it")
        assert said(lambda: list(few.tags.all()))[0] == "field-not-loaded"
        assert said(lambda: back(tools).items.count())[0] == "field-not-loaded"
        assert not asked
        again = Item.objects.only("name").get(pk=pen.pk)
        assert again.price == Decimal("1.50") and again.category == tools
        """)


def test_query_sets_are_their_rows_and_no_query_finds_them_out(run: Callable[..., None]) -> None:
    run("""
        every = Item.objects.order_by("name").filter(category=tools)
        len(every)
        found = back(every)
        assert type(found).__name__ == "QuerySet" and found.model is Item
        assert [one.name for one in found] == ["ink", "pen"] and len(found) == 2 and found[1] == pen
        assert found.first() == ink and found.count() == 2 and found.exists() and pen in found
        assert bool(found) and list(found[:1]) == [ink] and found.contains(pen)
        for further in (lambda: found.filter(name="pen"), found.reverse, lambda: found.get(pk=1),
                        lambda: list(found.iterator()),
                        lambda: found.aggregate(Sum("price"))):
            slug, message = said(further)
            assert slug == "queryset-recorded", slug
            assert message.endswith("Item cannot be asked for anything but its rows"), message
        loose = Item.objects.filter(category=tools)
        list(loose)
        assert said(back(loose).first)[0] == "queryset-recorded"
        names = Category.objects.values_list("name", flat=True)
        list(names)
        assert list(back(names)) == ["tools"] and back(names).first() == "tools"
        rows = Item.objects.values("name", "price").order_by("name")
        list(rows)
        assert list(back(rows))[0] == {"name": "ink", "price": Decimal("8.00")}
        assert list(back(Item.objects.none())) == []
        cheap = Offer.offers.all()
        list(cheap)
        assert type(back(cheap)) is Cheap
        raw = Item.objects.raw("SELECT * FROM shop_item ORDER BY name")
        list(raw)
        assert [one.name for one in back(raw)] == ["ink", "pen"]
        open = Item.objects.filter(name="pen")
        found = back(open)
        assert open._result_cache is None
        slug, message = said(lambda: list(found))
        assert slug == "queryset-recorded" and "was not evaluated" in message
        assert shown(open) == "QuerySet[Item](not evaluated)"
        assert shown(names) == "QuerySet[Category](['tools'])"
        """)


def test_they_read_well_and_their_secrets_are_sealed(run: Callable[..., None]) -> None:
    run("""
        from tracediff.compare import value_changes
        from tracediff.model import Value
        from tracediff.recording.redaction import Redactor

        full = Item.objects.select_related("category").get(pk=pen.pk)
        start = f"Item(id={pen.pk}, name='pen', price=1.50, kind='good', "
        assert shown(full).startswith(start), shown(full)
        assert f"category=Category(id={tools.pk}, name='tools')" in shown(full)
        assert shown(Category(name="new")) == "Category(unsaved, id=None, name='new')"
        before = Value(encode(full))
        full.price, full.category.name = Decimal(2), "pens"
        changes = value_changes(before, Value(encode(full)))
        assert [(one.path, one.new) for one in changes] == [
            (("price",), Decimal(2)), (("category", "name"), "pens")], changes
        account = Account(email="a@example.org", password="planted-secret")
        data = Redactor([], lambda: b"k" * 32).encoder(print)(account)
        assert b"planted-secret" not in data and b"a@example.org" in data
        """)


def test_nothing_imports_django_where_the_program_has_not() -> None:
    code = "import sys; from tracediff.values import encode; encode([object(), {1}, Exception()])\n"
    code += "assert not [name for name in sys.modules if name.partition('.')[0] == 'django']"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


@pytest.mark.parametrize("ref", ["django.contrib.auth.models:Group", "nowhere.models:Item"])
def test_where_django_is_missing_what_was_recorded_of_it_says_so(
    ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "django.db.models.query", None)
    parts = [ref.encode(), tags.KINDS.index("django"), {"id": 1}]
    with pytest.raises(ReplayError) as caught:
        live(tags.extension(tags.RECORD, packb(parts)), Allow(["nowhere.*"]))
    assert caught.value.slug == "class-missing"
    assert "install that library" in str(caught.value.hint)
