"""Traces that came through libraries with a setting of their own: it is told, and it works."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

SERVICE = """
    import os
    import httpx
    import requests
    import sqlalchemy
    import tracediff as td
    from shop.models import Product

    def rate(port):
        return httpx.get(f"http://127.0.0.1:{port}/rate").json()["rate"]

    def weight(port):
        return requests.get(f"http://127.0.0.1:{port}/weight", timeout=5).json()["rate"]

    def stock(path):
        engine = sqlalchemy.create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            found = connection.execute(sqlalchemy.text("select 7")).scalar()
        engine.dispose()
        return found

    def product(name):
        return Product.objects.get(name=name).price

    @td.job("s/httpx")
    def asked(port):
        return rate(port)

    @td.job("s/requests")
    def weighed(port):
        return weight(port)

    @td.job("s/sqlalchemy")
    def stocked(path):
        return stock(path)

    @td.job("s/django")
    def priced(name):
        return product(name)
    """
MODELS = """
    import os
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3",
                                   "NAME": os.environ.get("SHOP_DATABASE", "/nowhere/at.all")}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        )
        django.setup()

    from django.db import models

    class Product(models.Model):
        name = models.CharField(max_length=20)
        price = models.IntegerField()

        class Meta:
            app_label = "shop"
    """
RECORD = """
    import os, tempfile, threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    directory = tempfile.mkdtemp()
    os.environ["SHOP_DATABASE"] = f"{directory}/django.sqlite"
    from shop.jobs import asked, priced, stocked, weighed
    from shop.models import Product
    from django.db import connection

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "11")
            self.end_headers()
            self.wfile.write(b'{"rate": 5}')

        def log_message(self, *_):
            pass

    with connection.schema_editor() as editor:
        editor.create_model(Product)
    Product.objects.create(name="pen", price=3)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    asked(server.server_port), weighed(server.server_port)
    server.shutdown(), thread.join(), server.server_close()
    stocked(f"{directory}/stock.sqlite"), priced("pen")
    connection.close()
    os.remove(f"{directory}/django.sqlite")
    """


def test_a_library_of_the_setting_is_told_by_its_name_and_mends_its_trace(project):
    project.write("shop/models.py", MODELS)
    project.write("shop/jobs.py", SERVICE)
    project.write("record.py", RECORD)
    project.record("record.py")
    told = project.doctor("s")
    fatal = [one for one in told.document["reasons"] if one["fatal"]]
    assert {(one["kind"], one["remedies"][0]["lines"][0]) for one in fatal} == {
        ("network", 'inputs = ["httpx"]'),
        ("network", 'inputs = ["requests"]'),
        ("database", 'inputs = ["django.db"]'),
    }
    silent = [one for one in told.document["reasons"] if one["kind"] == "database"]
    assert ['inputs = ["sqlalchemy"]'] in [one["remedies"][0]["lines"] for one in silent]
    assert told.document["settings"] == [
        'inputs = ["django.db", "httpx", "requests", "sqlalchemy"]'
    ]
    project.paste(told.document["settings"])
    project.record("record.py")
    told = project.doctor("s", "--last", "4")
    assert (told.code, told.document["reasons"]) == (0, []), told.out


def test_what_lies_behind_the_first_obstacle_is_told_too(project):
    project.write(
        "shop/jobs.py",
        """
        import os
        import httpx
        import redis
        import tracediff as td

        client = httpx.Client()

        def rate():
            return client.get("http://127.0.0.1:9/").json()

        def number():
            return redis.Redis().incr("quotes")

        @td.job("price")
        def price(net):
            if "FEE" in os.environ:
                return net
            return net * rate() + number()
        """,
    )
    project.record("-c", "from shop.jobs import price; price(10)", FEE="1")
    document = project.doctor("price").document
    behind = [one for one in document["reasons"] if one["kind"] == "behind"]
    assert [one["remedies"][0]["lines"][0] for one in behind] == ['inputs = ["redis"]']
    assert {one["kind"] for one in document["reasons"] if one["fatal"]} >= {"network"}
