"""Instances, collections and rows of SQLAlchemy: written, read and asked for what is not there."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from tracediff import values
from tracediff.compare import value_changes
from tracediff.errors import ReplayError
from tracediff.model import Value
from tracediff.recording.redaction import Redactor

ALLOW = values.Allow([__name__])


class Base(orm.DeclarativeBase):
    pass


tagged = sa.Table(
    "tagged",
    Base.metadata,
    sa.Column("item_id", sa.ForeignKey("item.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
)


@dataclasses.dataclass
class Size:
    width: int
    height: int


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    price: Mapped[Decimal] = mapped_column(sa.Numeric(10, 2))
    manual: Mapped[str | None] = mapped_column(deferred=True)
    password: Mapped[str | None]
    size: Mapped[Size] = orm.composite(mapped_column("width"), mapped_column("height"))
    lines: Mapped[list[Line]] = relationship(back_populates="item", order_by="Line.id")
    tags: Mapped[set[Tag]] = relationship(secondary=tagged, back_populates="items")
    named: Mapped[dict[int, Line]] = relationship(
        collection_class=orm.attribute_keyed_dict("count"), viewonly=True
    )
    counts: AssociationProxy[list[int]] = association_proxy("lines", "count")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "item"}  # noqa: RUF012 - SQLAlchemy's way

    @hybrid_property
    def double(self) -> Decimal:
        return self.price * 2


class Book(Item):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(sa.ForeignKey("item.id"), primary_key=True)
    pages: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "book"}  # noqa: RUF012 - as above


class Line(Base):
    __tablename__ = "line"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[int | None] = mapped_column(sa.ForeignKey("item.id"))
    count: Mapped[int]
    item: Mapped[Item] = relationship(back_populates="lines")


class Tag(Base):
    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    items: Mapped[list[Item]] = relationship(secondary=tagged, back_populates="tags")


plain = orm.registry()


@plain.mapped_as_dataclass
class Point:
    __tablename__ = "point"
    x: Mapped[int] = mapped_column(primary_key=True)
    y: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="here")


POINT = Point(1, 2)  # type: ignore[call-arg]  # the decorator makes it a dataclass


class Old:
    """Mapped in the classical way."""

    id: int
    name: str


plain.map_imperatively(
    Old, sa.Table("old", plain.metadata, sa.Column("id", sa.Integer, primary_key=True),
                  sa.Column("name", sa.Text))
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[sa.Engine]:
    made = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(made)
    plain.metadata.create_all(made)
    with orm.Session(made) as session:
        tags = [Tag(id=n) for n in (1, 2)]
        book = Book(
            id=1, price=Decimal("2.50"), pages=9, size=Size(3, 4), password="hunter22",
            lines=[Line(count=5), Line(count=6)], tags=set(tags), manual="long",
        )  # fmt: skip
        item = Item(id=2, price=Decimal(1), size=Size(1, 1), tags=set(tags))
        session.add_all([book, Old(), item])
        session.merge(POINT)
        session.commit()
    yield made
    made.dispose()


@pytest.fixture
def session(engine: sa.Engine) -> Iterator[orm.Session]:
    with orm.Session(engine) as made:
        yield made


def again(obj: Any) -> Any:
    """Written and read, in both ways; what is read is written to the same bytes."""
    data = values.encode(obj)
    read = values.live(data, ALLOW)
    assert values.encode(read) == data
    assert values.encode(values.inert(data)) == data
    assert values.from_json(json.loads(json.dumps(values.to_json(data)))) == data
    assert "$packed" not in json.dumps(values.to_json(data))
    return read


def test_an_instance_is_read_as_a_detached_one_with_what_was_loaded(session: orm.Session) -> None:
    book = session.scalars(
        sa.select(Item).options(orm.selectinload(Item.lines)).order_by(Item.id)
    ).first()
    assert book is not None
    assert book.size == Size(3, 4)
    read = again(book)
    assert type(read) is Book
    state = sa.inspect(read)
    assert state.detached
    assert not state.modified
    assert state.identity_key == sa.inspect(book).identity_key
    assert state.unloaded == {"manual", "tags", "named", "pages", "size"}
    assert (read.id, read.price, read.size, read.double) == (
        1, Decimal("2.50"), Size(3, 4), Decimal("5.00"))  # fmt: skip
    assert [(line.count, line.item is read) for line in read.lines] == [(5, True), (6, True)]
    assert list(read.counts) == [5, 6]
    read.lines.append(Line(count=7))  # a collection of its own kind
    assert read.lines[2].item is read
    assert copy.copy(book.lines) == book.lines


def test_a_part_that_was_not_loaded_says_so_and_how_to_load_it(session: orm.Session) -> None:
    read = again(session.get_one(Book, 1))
    for name in ("manual", "lines", "tags"):
        with pytest.raises(ReplayError) as caught:
            getattr(read, name)
        assert caught.value.slug == "attribute-not-loaded"
        assert caught.value.message == f"Book.{name} was not loaded when this was recorded"
        assert "selectinload" in str(caught.value.hint)
    session.expunge_all()
    session.add(read)
    assert read.manual == "long"
    assert [line.count for line in read.lines] == [5, 6]
    assert {tag.id for tag in session.merge(again(session.get_one(Item, 2))).tags} == {1, 2}


def test_an_expired_instance_keeps_its_identity(session: orm.Session) -> None:
    book = session.get_one(Book, 1)
    session.expire(book)
    read = again(book)
    assert sa.inspect(read).identity == (1,)
    with pytest.raises(ReplayError, match=r"Book\.price was not loaded"):
        _ = read.price


def test_collections_of_every_kind_hold_instances_that_are_one(session: orm.Session) -> None:
    loads = [orm.selectinload(Item.tags).selectinload(Tag.items), orm.selectinload(Item.named)]
    book = session.scalars(sa.select(Item).options(*loads).order_by(Item.id)).first()
    assert book is not None
    read = again([book, book.tags, {"again": book}])
    first, tags, third = read[0], read[1], read[2]["again"]
    assert first is third
    assert type(tags) is type(book.tags)
    assert {id(tag) for tag in tags} == {id(tag) for tag in first.tags}
    assert sorted(first.named) == [5, 6]
    assert first.named[5].count == 5
    assert all(any(item is first for item in tag.items) for tag in first.tags)


def test_many_to_many_is_written_once_each_not_along_every_way() -> None:
    items = [Item(id=n, kind="item") for n in range(60)]
    tags = [Tag(id=n) for n in range(60)]
    for item in items:
        item.tags = set(tags)
    data = values.encode(items)
    assert len(data) < 400_000
    read: Any = values.live(data, ALLOW)
    assert {len(item.tags) for item in read} == {60}
    assert len({id(tag) for item in read for tag in item.tags}) == 60


def test_new_and_changed_instances_come_as_they_were(session: orm.Session) -> None:
    new = again(Item(price=Decimal(3), lines=[Line(count=1)]))
    assert sa.inspect(new).transient
    assert new.lines[0].item is new
    assert new.manual is None  # as of any new one
    book = session.get_one(Book, 1)
    book.price = Decimal(9)
    book.password = None
    read = again(book)
    assert sa.inspect(read).attrs.price.history == ([Decimal(9)], (), [Decimal("2.50")])
    with orm.Session(session.get_bind()) as other:
        other.add(read)
        other.flush()
        assert other.scalar(sa.text("SELECT price FROM item WHERE id = 1")) == 9
    session.expire(book)
    book.price = Decimal(8)
    read = again(book)
    assert sa.inspect(read).attrs.price.history[0] == [Decimal(8)]


def test_two_instances_of_one_identity_stay_two(engine: sa.Engine) -> None:
    with orm.Session(engine) as one, orm.Session(engine) as two:
        first, second = one.get_one(Item, 2), two.get_one(Item, 2)
        second.price = Decimal(7)
        read = again([first, second, second, first])
        two.rollback()
    assert [item.price for item in read] == [1, 7, 7, 1]
    assert read[1] is read[2]
    assert read[0] is read[3]


def test_classes_without_a_base_class_of_the_library_are_known(session: orm.Session) -> None:
    point = again(session.get_one(Point, (1, 2)))
    assert (point, sa.inspect(point).identity) == (POINT, (1, 2))
    old = again(session.get_one(Old, 1))
    assert (old.name, sa.inspect(old).detached) == (None, True)


def test_rows_come_as_rows(session: orm.Session) -> None:
    row = session.execute(sa.select(Item.id, Item.price.label("cost")).order_by(Item.id)).first()
    assert row is not None
    read = again([row, row._mapping])
    assert type(read[0]) is type(row)
    assert (read[0].id, read[0].cost, read[0] == row) == (1, Decimal("2.50"), True)
    assert dict(read[1]) == {"id": 1, "cost": Decimal("2.50")}
    twice = session.execute(sa.select(Item.id, Line.id).join(Line).order_by(Line.id)).first()
    assert tuple(again(twice)) == (1, 1)


def test_they_read_well_and_their_differences_are_named(session: orm.Session) -> None:
    book = session.scalars(
        sa.select(Item).options(orm.selectinload(Item.lines)).order_by(Item.id)
    ).first()
    assert book is not None
    before = Value(values.encode([book, book.lines[0]]))
    text = values.text(values.inert(before))
    assert text.startswith("[Book(id=1, kind='book', price=2.50, password='hunter22'")
    assert text.endswith("lines=[Line(id=1, item_id=1, count=5), Line(id=2, item_id=1, count=6)]), "
                         "Line(id=1, …)]")  # fmt: skip
    book.price = Decimal(4)
    after = Value(values.encode([book, book.lines[0]]))
    session.rollback()
    assert (0, "price") in [change.path for change in value_changes(before, after)]


def test_secrets_are_sealed_by_the_names_of_columns(session: orm.Session) -> None:
    data = values.encode(session.get_one(Book, 1), redaction=Redactor((), lambda: b"key"))
    assert b"hunter22" not in data
    read: Any = values.live(data, ALLOW)
    with pytest.raises(ReplayError, match="redacted"):
        str(read.password)
    assert read.price == Decimal("2.50")


def test_only_allowed_classes_are_made(session: orm.Session) -> None:
    data = values.encode(session.get_one(Item, 2))
    with pytest.raises(ReplayError) as caught:
        values.live(data, values.Allow(["elsewhere"]))
    assert caught.value.slug == "class-not-allowed"
    unmapped = data.replace(b":Item", b":Size")
    with pytest.raises(ReplayError) as caught:
        values.live(unmapped, ALLOW)
    assert caught.value.slug == "class-changed"
