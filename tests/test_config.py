"""Settings: where each comes from, what each may be, and what an error says about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tracediff.config import (
    DEFAULT_STORE,
    Config,
    StoreSettings,
    load_config,
    mask,
    override,
)
from tracediff.config.checks import FROM_TEXT, OTHER_VARIABLES
from tracediff.errors import ConfigError
from tracediff.model import Tolerance


@pytest.fixture
def project(tmp_path):
    """Write [tool.tracediff] and read the settings that hold in the directory."""

    def load(table: str = "", *, start: Path | None = None, **options):
        (tmp_path / "pyproject.toml").write_text(f"[tool.tracediff]\n{table}", encoding="utf-8")
        return load_config(start or tmp_path, env=options.pop("env", {}), **options)

    return load


def refused(load, *words: str, slug: str = "config-invalid") -> str:
    with pytest.raises(ConfigError) as caught:
        load()
    assert caught.value.slug == slug
    assert caught.value.hint
    said = f"{caught.value.message} ({caught.value.hint})"
    for word in words:
        assert word in said, (word, said)
    return said


def origin(config: Config, name: str) -> str:
    return {row[0]: row[2] for row in config.as_rows()}[name]


def value(config: Config, name: str) -> str:
    return {row[0]: row[1] for row in config.as_rows()}[name]


def test_without_a_table_and_without_a_store_recording_is_off(tmp_path):
    config = load_config(tmp_path, env={})
    assert (config.enabled, config.file, config.root) == (False, None, tmp_path)
    assert config.store == DEFAULT_STORE
    assert origin(config, "enabled") == "default"


def test_a_table_alone_switches_recording_on(project):
    config = project()
    assert config.enabled
    assert origin(config, "enabled") == "pyproject.toml has [tool.tracediff]"


def test_a_store_in_the_environment_alone_switches_recording_on(tmp_path):
    config = load_config(tmp_path, env={"TRACEDIFF_STORE": "traces"})
    assert config.enabled
    assert config.store == "traces"
    assert origin(config, "enabled") == origin(config, "store") == "environment TRACEDIFF_STORE"


def test_recording_can_be_switched_off_in_spite_of_both(project):
    assert not project("enabled = false").enabled
    assert not project(env={"TRACEDIFF_ENABLED": "no", "TRACEDIFF_STORE": "x"}).enabled
    assert project("enabled = false", env={"TRACEDIFF_ENABLED": "1"}).enabled


def test_an_empty_variable_is_none(tmp_path, project):
    assert not load_config(tmp_path, env={"TRACEDIFF_STORE": ""}).enabled
    assert project('store = "a"', env={"TRACEDIFF_STORE": ""}).store == "a"


def test_an_option_wins_over_a_variable_over_the_table_over_the_default(project, tmp_path):
    env = {"TRACEDIFF_STORE": "of-variable"}
    default, table = project(), project('store = "of-table"')
    variable = project('store = "of-table"', env=env)
    option = project('store = "of-table"', env=env, store="of-option")
    assert (default.store, origin(default, "store")) == (DEFAULT_STORE, "default")
    assert (table.store, origin(table, "store")) == (
        "of-table", "pyproject.toml [tool.tracediff] store",
    )  # fmt: skip
    assert (variable.store, origin(variable, "store")) == (
        "of-variable", "environment TRACEDIFF_STORE",
    )  # fmt: skip
    assert option.store == str(tmp_path / "of-option")
    assert origin(option, "store") == "option --store"


def test_the_nearest_table_upwards_holds_and_files_without_one_are_passed(project, tmp_path):
    below = tmp_path / "a" / "b" / "c"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text('[project]\nname = "x"\n')
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.ruff]\n")
    config = project("sample = 0.5", start=below)
    assert (config.file, config.root, config.sample) == (tmp_path / "pyproject.toml", tmp_path, 0.5)
    (tmp_path / "a" / "b" / "pyproject.toml").write_text("[tool.tracediff]\nsample = 0.25\n")
    config = load_config(below, env={})
    assert (config.root, config.sample) == (tmp_path / "a" / "b", 0.25)


def test_a_store_of_the_table_is_beside_the_file_and_one_of_the_option_where_it_was_typed(
    project, tmp_path
):
    below = tmp_path / "below"
    below.mkdir()
    table = project('store = "../traces"', start=below)
    assert table.root / table.store_url() == tmp_path / "../traces"
    assert project(start=below, store="here").store_url() == str(below / "here")
    assert project(start=below, store="/abs").store_url() == "/abs"
    assert project(start=below, store="mongodb://h/x").store_url() == "mongodb://h/x"
    assert project(start=below, store="memory:").store_url() == "memory:"


def test_stores_have_names(project):
    table = 'store = "prod"\n[stores.prod]\nindex = "mongodb://h/x"\nblobs = "s3://b"\n'
    config = project(table.replace("[stores", "[tool.tracediff.stores"))
    assert config.stores == {"prod": StoreSettings(index="mongodb://h/x", blobs="s3://b")}
    assert config.store_url() == config.store_url("prod") == "mongodb://h/x"
    assert project(table.replace("[stores", "[tool.tracediff.stores"), store="prod").store == "prod"
    assert value(config, "stores.prod") == "mongodb://h/x + s3://b"


def test_rules_of_jobs_are_merged_and_the_last_wins(project):
    config = project(
        """
[tool.tracediff.job."commodity/*"]
depth = "inputs"
sample = 0.1
retention = 3
[tool.tracediff.job."commodity/calculate/*"]
sample = 0
[tool.tracediff.job."tax/one"]
enabled = false
"""
    )
    rule = config.rule_for("commodity/calculate/one")
    assert (rule.depth, rule.sample, rule.retention, rule.enabled) == ("inputs", 0, 3, None)
    assert config.rule_for("commodity/other").sample == 0.1
    assert config.rule_for("tax/one").enabled is False
    other = config.rule_for("price/one")
    assert (other.depth, other.sample, other.retention, other.enabled) == (None,) * 4
    assert value(config, 'job."commodity/*"') == "depth=inputs sample=0.1 retention=3"
    assert value(config, 'job."commodity/calculate/*"') == "sample=0"
    assert value(config, 'job."tax/one"') == "enabled=false"
    assert origin(config, 'job."tax/one"') == "pyproject.toml [tool.tracediff] job"


def test_tolerances_are_read_in_their_order(project):
    config = project(
        """
[[tool.tracediff.tolerance]]
path = "**/weight"
rel = 1e-9
[[tool.tracediff.tolerance]]
abs = 1
ulp = 4
quantum = "0.01"
unordered = true
types = ["int", "float"]
[[tool.tracediff.tolerance]]
path = "x"
ignore = true
types = [["int", "float"], ["list", "tuple"]]
"""
    )
    assert config.tolerances == (
        Tolerance(path="**/weight", rel=1e-9),
        Tolerance(abs=1, ulp=4, quantum="0.01", unordered=True, types=(("int", "float"),)),
        Tolerance(path="x", ignore=True, types=(("int", "float"), ("list", "tuple"))),
    )
    assert value(config, 'tolerance."**/weight"') == "rel=1e-09"


def test_a_quantum_may_be_a_number(project):
    config = project("[[tool.tracediff.tolerance]]\nquantum = 0.01\n")
    assert config.tolerances[0].quantum == "0.01"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('jobs = "pricing"', "jobs"),
        ("jobs = [1]", "jobs"),
        ('jobs = [""]', "jobs"),
        ("store = 3", "store"),
        ('store = ""', "store"),
        ('pythonpath = "src"', "pythonpath"),
        ('recorded_libraries = "old"', "recorded_libraries"),
        ("autotrace = {}", "autotrace"),
        ("inputs = true", "inputs"),
        ("redact = [[]]", "redact"),
        ('replay_allow = "x"', "replay_allow"),
        ('replay_timeout = "soon"', "replay_timeout"),
        ("replay_timeout = -1", "replay_timeout"),
        ("replay_timeout = nan", "replay_timeout"),
        ("python = []", "python"),
        ('depth = "deep"', "depth"),
        ("depth = []", "depth"),
        ("sample = 1.5", "sample"),
        ("sample = true", "sample"),
        ('sample = "half"', "sample"),
        ("strict = 1", "strict"),
        ('enabled = "yes"', "enabled"),
        ('durability = "forever"', "durability"),
        ("stores = []", "stores"),
        ("stores.prod = 1", "prod"),
        ("stores.prod.blobs = 'x'", "index"),
        ("stores.prod.index = 1", "index"),
        ('stores."a:b".index = "x"', "a:b"),
        ("job = 1", "job"),
        ('job."x" = 1', "x"),
        ('job."x".sample = 2', "sample"),
        ('job."x".depth = 2', "depth"),
        ('job."x".retention = -1', "retention"),
        ('job."x".retention = 1.5', "retention"),
        ('job."x".enabled = 1', "enabled"),
        ("tolerance = {}", "tolerance"),
        ("tolerance = [1]", "tolerance"),
        ("tolerance = [{path = 1}]", "path"),
        ('tolerance = [{rel = "x"}]', "rel"),
        ("tolerance = [{rel = -1}]", "rel"),
        ("tolerance = [{abs = inf}]", "abs"),
        ("tolerance = [{ulp = 1.5}]", "ulp"),
        ('tolerance = [{quantum = "cent"}]', "quantum"),
        ('tolerance = [{quantum = "0"}]', "quantum"),
        ("tolerance = [{quantum = true}]", "quantum"),
        ("tolerance = [{unordered = 1}]", "unordered"),
        ("tolerance = [{ignore = 0}]", "ignore"),
        ("tolerance = [{types = 'int'}]", "types"),
        ("tolerance = [{types = [['int']]}]", "types"),
    ],
    ids=lambda some: some.replace(" ", ""),
)
def test_a_setting_of_a_wrong_type_is_refused_and_named(project, line, key):
    said = refused(lambda: project(line), key, "pyproject.toml")
    assert "must be" in said


@pytest.mark.parametrize(
    ("line", "key", "near"),
    [
        ('jbos = ["x"]', "jbos", "jobs"),
        ('Store = "x"', "Store", "store"),
        ("stores.prod = {index = 'x', blob = 'y'}", "blob", "blobs"),
        ("job.x.smaple = 1", "smaple", "sample"),
        ("tolerance = [{relative = 1}]", "relative", ""),
        ("tolerance = [{quantm = 1}]", "quantm", "quantum"),
        ("zzz = 1", "zzz", "known are"),
    ],
)
def test_an_unknown_setting_is_refused_and_a_near_one_named(project, line, key, near):
    refused(lambda: project(line), repr(key), near, "pyproject.toml", slug="config-unknown-key")


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("[tool.tracediff", "config-unreadable"),
        ("a = 1\na = 2", "config-unreadable"),
        ("[tool]\ntracediff = 3", "config-invalid"),
        ("[tool]\ntracediff = []", "config-invalid"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, slug):
    (tmp_path / "pyproject.toml").write_text(text)
    refused(lambda: load_config(tmp_path, env={}), str(tmp_path / "pyproject.toml"), slug=slug)


def test_a_file_whose_tool_is_no_table_holds_no_settings(tmp_path):
    (tmp_path / "pyproject.toml").write_text("tool = 3\n")
    assert not load_config(tmp_path, env={}).enabled


def test_a_file_of_another_encoding_is_refused(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes("# é".encode("latin-1"))
    refused(lambda: load_config(tmp_path, env={}), "pyproject.toml", slug="config-unreadable")


@pytest.mark.parametrize(
    ("variable", "text", "name", "wanted"),
    [
        ("TRACEDIFF_JOBS", "a.*, b ,", "jobs", ("a.*", "b")),
        ("TRACEDIFF_AUTOTRACE", "a,!b", "autotrace", ("a", "!b")),
        ("TRACEDIFF_INPUTS", "httpx", "inputs", ("httpx",)),
        ("TRACEDIFF_REDACT", "*.email", "redact", ("*.email",)),
        ("TRACEDIFF_REPLAY_ALLOW", "localhost", "replay_allow", ("localhost",)),
        ("TRACEDIFF_REPLAY_TIMEOUT", "1.5", "replay_timeout", 1.5),
        ("TRACEDIFF_PYTHON", "python3.12", "python", "python3.12"),
        ("TRACEDIFF_DEPTH", "full", "depth", "full"),
        ("TRACEDIFF_SAMPLE", "0.25", "sample", 0.25),
        ("TRACEDIFF_STRICT", "TRUE", "strict", True),
        ("TRACEDIFF_STRICT", "off", "strict", False),
        ("TRACEDIFF_DURABILITY", "host", "durability", "host"),
        ("TRACEDIFF_ENABLED", "0", "enabled", False),
        ("TRACEDIFF_STORE", "x", "store", "x"),
    ],
)
def test_a_variable_sets_its_setting(project, variable, text, name, wanted):
    config = project(env={variable: text})
    assert getattr(config, name) == wanted
    assert origin(config, name) == f"environment {variable}"


def test_every_setting_that_is_a_text_a_number_or_a_list_has_a_variable(project):
    tables = {"job", "keys", "stores", "tolerance"}
    assert set(FROM_TEXT) == {row[0] for row in Config(root=Path()).as_rows()} - tables


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TRACEDIFF_SAMPLE", "half"),
        ("TRACEDIFF_SAMPLE", "nan"),
        ("TRACEDIFF_STRICT", "maybe"),
        ("TRACEDIFF_DEPTH", "deep"),
        ("TRACEDIFF_REPLAY_TIMEOUT", "-1"),
        ("TRACEDIFF_DURABILITY", "disk"),
    ],
)
def test_a_variable_that_cannot_be_read_is_refused_and_named(project, variable, text):
    refused(lambda: project(env={variable: text}), variable, text)


def test_an_unknown_variable_is_refused_and_a_near_one_named(project):
    refused(
        lambda: project(env={"TRACEDIFF_STOER": "x"}),
        "TRACEDIFF_STOER", "did you mean 'TRACEDIFF_STORE'", slug="config-unknown-key",
    )  # fmt: skip
    assert project(env=dict.fromkeys(OTHER_VARIABLES - {"TRACEDIFF_ENCRYPTION_KEYS"}, "x")).enabled


def test_the_python_path_is_the_project_and_its_src_unless_it_is_set(project, tmp_path):
    assert project().pythonpath == (tmp_path,)
    (tmp_path / "src").mkdir()
    assert project().pythonpath == (tmp_path, tmp_path / "src")
    assert project('pythonpath = ["lib", "/abs"]').pythonpath == (tmp_path / "lib", Path("/abs"))
    assert project('recorded_libraries = ["old"]').recorded_libraries == (tmp_path / "old",)


def test_configure_overrides_settings_by_name(project):
    config = override(project("sample = 0.5"), sample=1, jobs=("a",), store="b", enabled=False)
    assert (config.sample, config.jobs, config.store, config.enabled) == (1, ("a",), "b", False)
    assert origin(config, "sample") == "configure()"
    config = override(Config(root=Path("/r")), pythonpath=["x"], job={"k": {"sample": 0.5}})
    assert (config.enabled, config.pythonpath) == (True, (Path("/r/x"),))
    assert config.rule_for("k").sample == 0.5
    refused(lambda: override(config, smaple=1), "sample", slug="config-unknown-key")
    refused(lambda: override(config, sample="x"), "configure()", "sample")


def test_a_config_is_frozen(project):
    with pytest.raises(AttributeError):
        project().sample = 1


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://me:hunter2@host/db",
        "mongodb://me:hunter2@a@host/db",
        "mongodb://me:hun/ter2@host/db",
        "mongodb+srv://hunter2@host/db",
        "s3://key:hunter2@bucket/p",
        "https://host/x?password=hunter2&x=1",
        "https://host/x?x=1&authToken=hunter2",
        "https://host/x?access_key=hunter2",
        "cannot open mongodb://me:hunter2@host/db: refused",
        "'mongodb://me:hunter2@host/db' and 's3://k:hunter2@b'",
    ],
)
def test_credentials_are_masked(url):
    shown = mask(url)
    assert "hunter2" not in shown
    assert "ter2" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "text", ["/a/b", "memory:", "mongodb://host/db", "s3://a,b/p", "key@last", "x: a@b"]
)
def test_what_holds_no_credentials_is_shown_as_it_is(text):
    assert mask(text) == text


def test_rows_and_errors_hold_no_credentials(project, tmp_path):
    config = project(
        'store = "mongodb://me:hunter2@host/db"\n'
        '[tool.tracediff.stores.prod]\nindex = "mongodb://me:hunter2@h"\nblobs = "s3://k:hunter2@b"\n'
    )
    assert "hunter2" not in str(config.as_rows())
    said = refused(lambda: project('store = ["mongodb://me:hunter2@host/db"]'))
    assert "hunter2" not in said


def test_the_process_environment_is_read_when_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("TRACEDIFF_SAMPLE", "0.125")
    assert load_config(tmp_path).sample == 0.125
    monkeypatch.chdir(tmp_path)
    assert load_config().root == Path(os.path.realpath(tmp_path))
