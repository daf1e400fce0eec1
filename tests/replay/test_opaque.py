"""Values without an exact form: passed on, named when they are used."""

from __future__ import annotations

CLIENT = """
class Client:
    def __init__(self, url):
        self.url = url
        self.lock = __import__("threading").Lock()

    def get(self, id):
        return f"{self.url}/{id}"

    def __reduce__(self):
        raise TypeError("not this one")
"""


def test_an_opaque_argument_may_be_passed_on_and_is_named_when_it_is_used(shop):
    shop.jobs(
        CLIENT
        + """
@td.input("Fetch")
def fetch(client, id):
    return client.get(id)

@td.job("shop/fetch")
def job(client, id):
    return fetch(client, id)
"""
    )
    [trace] = shop.record('job(Client("http://shop"), 7)')
    new = shop.replay(trace)
    assert shop.result(new) == "http://shop/7"
    assert new.replay.misses == ()
    shop.change("return fetch(client, id)", "return client.get(id)")
    new = shop.replay(trace)
    error = new.steps[0].error
    assert "shop.jobs.Client" in error.message
    assert "'get'" in error.message
    done = shop.cli("compare", trace.id)
    assert done.returncode == 1
    assert "shop.jobs.Client" in done.stdout


def test_a_placeholder_that_is_used_cannot_be_swallowed(shop):
    shop.jobs(
        CLIENT
        + """
@td.input("Connect")
def connect():
    return Client("http://shop")

@td.job("shop/connect")
def job():
    client = connect()
    try:
        return client.get(7)
    except Exception:
        return "http://shop/7"
"""
    )
    [trace] = shop.record("job()")
    new = shop.replay(trace)
    [miss] = new.replay.misses
    assert miss.name == "Connect"
    assert "shop.jobs.Client" in miss.hint
    assert shop.cli("compare", trace.id).returncode == 1


def test_an_input_whose_result_was_not_kept_says_so_and_why(shop):
    shop.jobs(
        CLIENT
        + """
@td.input("Connect")
def connect(url):
    return Client(url)

@td.job("shop/connect")
def job(url):
    return connect(url).get(7)
"""
    )
    [trace] = shop.record('job("http://shop")')
    new = shop.replay(trace)
    [miss] = new.replay.misses
    assert (miss.name, miss.served) == ("Connect", "failed")
    assert "shop.jobs.Client" in miss.hint
    shown = shop.cli("replay", trace.id)
    assert shown.returncode == 2
    assert "Connect" in shown.stdout
    assert "shop.jobs.Client" in shown.stdout


def test_an_opaque_result_that_is_only_passed_on_replays(shop):
    shop.jobs(
        CLIENT
        + """
@td.input("Connect")
def connect(url):
    return Client(url)

@td.input("Get")
def get(client, id):
    return client.get(id)

@td.job("shop/connect")
def job(url):
    return get(connect(url), 7)
"""
    )
    [trace] = shop.record('job("http://shop")')
    new = shop.replay(trace)
    assert shop.result(new) == "http://shop/7"
    assert new.replay.misses == ()
    assert shop.cli("compare", trace.id).returncode == 0


def test_a_redacted_argument_is_named_when_it_is_used(shop):
    shop.jobs("""
        @td.input("Login")
        def login(password):
            return "ok"

        @td.job("shop/login")
        def job(password):
            return login(password)
        """)
    [trace] = shop.record('job("hunter2")')
    assert shop.result(shop.replay(trace)) == "ok"
    shop.change("return login(password)", "return len(password)")
    new = shop.replay(trace)
    assert "a redacted str" in new.steps[0].error.message
