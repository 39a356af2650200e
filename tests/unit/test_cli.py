"""The command line, as a person uses it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import click
import pytest
import structlog
import typer
from typer.testing import CliRunner, Result

from parse_clone import __version__
from parse_clone.app import opened_toolbox
from parse_clone.cli import cli
from parse_clone.configuration import load_settings
from parse_clone.core.json_types import JsonObject
from parse_clone.core.schema import DropIndexes
from parse_clone.services.toolbox import Toolbox
from parse_clone.settings_page import settings_page

SCHEMA = {"classes": [{"className": "Ward", "fields": {"name": {"type": "String"}}}]}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with nothing in it, and a log that says nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SILENT", "true")
    yield
    structlog.reset_defaults()


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == status, result.output
    return result


def schema_file(tmp_path: Path) -> str:
    file = tmp_path / "ward.json"
    file.write_text(json.dumps(SCHEMA))
    return str(file)


def test_an_import_can_be_tried_before_it_is_done(tmp_path: Path) -> None:
    file = schema_file(tmp_path)
    assert "+ class Ward" in run("schema", "import", file, "--dry-run").output
    assert "+ class Ward" in run("schema", "diff", file).output
    run("schema", "import", file)
    assert "has everything" in run("schema", "diff", file).output


def test_an_export_can_be_imported_elsewhere(tmp_path: Path) -> None:
    run("schema", "import", schema_file(tmp_path))
    exported = run("schema", "export", "Ward").stdout
    assert json.loads(exported)["classes"][0]["fields"]["name"]["type"] == "String"
    (tmp_path / "exported.json").write_text(exported)
    elsewhere = ("--database-uri", "sqlite:///elsewhere/parse.sqlite3")
    run("schema", "import", "exported.json", *elsewhere)
    assert "has everything" in run("schema", "diff", "exported.json", *elsewhere).output


def test_users_are_created_and_put_into_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARSE_CLONE_PASSWORD", "s3cret.word")
    run("users", "create", "ada", "--email", "ada@clinic.example", "--field", "beds=3")
    assert "Role doctor: 1 users added." in run("roles", "add", "doctor", "ada").output
    assert "Role doctor: 0 users added." in run("roles", "add", "doctor").output
    refused = run("users", "create", "ada", status=1)
    assert "Account already exists for this username." in refused.output
    assert "There is no user bob" in run("roles", "add", "doctor", "bob", status=1).output


def test_a_password_that_nobody_gave_is_asked_for_twice() -> None:
    result = CliRunner().invoke(cli, ["users", "create", "ada"], input="s3cret.word\ns3cret.word\n")
    assert result.exit_code == 0, result.output
    assert "User ada has the id" in result.output
    assert "s3cret" not in result.output


def test_a_check_tells_what_is_weak() -> None:
    output = run("check").output
    assert "The database answers" in output
    assert "Secure master key" in output
    assert "14 of 14 indexes" in output


def in_database(work: Callable[[Toolbox], Awaitable[None]]) -> None:
    """Work on the database as another program does."""

    async def opened() -> None:
        async with opened_toolbox(load_settings()) as toolbox:
            await work(toolbox)

    asyncio.run(opened())


def test_a_check_names_the_indexes_that_are_missing() -> None:
    async def spoil(toolbox: Toolbox) -> None:
        await toolbox.storage.change_schema(DropIndexes("_Role", ("name_1",)))
        rows: list[JsonObject] = [{"objectId": name, "name": "doctor"} for name in ("r1", "r2")]
        await toolbox.storage.insert(toolbox.catalog.classes["_Role"], rows)

    in_database(spoil)
    checked = run("check", status=1)
    assert "13 of 14 indexes" in " ".join(checked.output.split())
    assert "Missing: name_1 on _Role (name)" in checked.output


def test_an_import_that_cannot_be_finished_changes_nothing(tmp_path: Path) -> None:
    run("schema", "import", schema_file(tmp_path))

    async def fill(toolbox: Toolbox) -> None:
        rows: list[JsonObject] = [{"objectId": name, "name": "West"} for name in ("w1", "w2")]
        await toolbox.storage.insert(toolbox.catalog.classes["Ward"], rows)

    in_database(fill)
    unique = {"byName": {"keys": {"name": 1}, "unique": True}}
    fields = {"name": {"type": "String"}, "floor": {"type": "Number"}}
    classes = [
        {"className": "Annex", "fields": {}},
        {"className": "Ward", "fields": fields, "indexes": unique},
    ]
    Path("more.json").write_text(json.dumps({"classes": classes}))
    before = run("schema", "export").stdout
    refused = run("schema", "import", "more.json", status=1)
    assert "A duplicate value for a field with unique values" in refused.output
    assert run("schema", "export").stdout == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("schema import bad.json", "bad.json: not JSON"),
        ("schema import bytes.json", "bytes.json: not JSON"),
        ("schema import list.json", "list.json: [0]: expected a class"),
        ("schema export Ghost", "no such class"),
        ("check --config bad.json", "bad.json is not JSON"),
        ("check --config wrong.json", "wrong.json: Parse Server option port must be a number."),
        ("check --config absent.json", "absent.json cannot be read: No such file or directory"),
        ("check --database-uri sqlite:///list.json", "cannot use list.json as a file of SQLite"),
        ("check --database-uri sqlite:///bad.json/x", "cannot be kept in bad.json/keys.json: "),
        ("check --database-uri mongodb://localhost/x", "Set PARSE_SERVER_APPLICATION_ID"),
        ("serve --production", "You must provide an appId!"),
        ("serve --workers 2", "--workers needs MongoDB"),
        ("serve --host 256.0.0.1", "Cannot listen on 256.0.0.1, port 1337"),
        ("seed demo", "name it with --cloud"),
        ("roles add doctor bob", "There is no user bob"),
        ("audit verify", "There is no class AuditLog"),
        ("audit verify --class _User", "The class _User is no audit log"),
        ("audit verify --checkpoint bad.json", "bad.json: line 1: expected an entry or a checkpoint"),
        ("audit check-export list.json", "list.json: line 1: expected an entry or a checkpoint"),
        ("audit check-export bytes.json", "bytes.json: expected lines of JSON"),
        ("audit check-export empty.json", "empty.json: the export has no checkpoint"),
        ("audit export --class _User --field email --key bad.json", "bad.json: expected an Ed25519 key"),
        ("files rotate-key", "set fileEncryptionKeys"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments: str, sentence: str) -> None:
    Path("bad.json").write_text("{")
    Path("bytes.json").write_bytes(b"\xff\xfe\x00")
    Path("list.json").write_text("[1]")
    Path("wrong.json").write_text('{"port": "x"}')
    Path("empty.json").touch()
    result = run(*arguments.split(), status=1)
    assert sentence in result.stderr
    assert isinstance(result.exception, SystemExit), "no traceback"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("schema import absent.json", "absent.json"),
        ("schema imprt", "Did you mean 'import'"),
        ("check --nope", "No such option"),
        ("serve --workers 0", "greater than or equal to 1"),
        ("serve --port x", "valid integer"),
        ("serve --schemas absent.json", "absent.json"),
        ("users create ada --field beds", "expected name=value"),
        ("users create", "Missing argument"),
    ],
)
def test_a_wrong_call_is_told_with_how_it_would_be_right(arguments: str, sentence: str) -> None:
    told = " ".join(run(*arguments.split(), status=2).stderr.split())
    assert sentence in told
    assert "--help' for help." in told


def test_keys_that_are_spoiled_are_named() -> None:
    Path("data").mkdir()
    Path("data/keys.json").write_text("{")
    assert 'data/keys.json: expected {"appId"' in run("check", status=1).stderr


def test_what_is_passed_over_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARSE_SERVER_MASTERKEY", "hidden")
    monkeypatch.setenv("PARSE_SERVER_LOGS_FOLDER", "logs")
    Path("config.json").write_text('{"cluster": 2, "liveQueryServerOptions": {"port": 1338}}')
    told = run("check", "--config", "config.json").stderr
    assert "PARSE_SERVER_MASTERKEY names no option" in told
    assert "Did you mean PARSE_SERVER_MASTER_KEY?" in told
    assert "'cluster' has no meaning here" in told
    assert "'liveQueryServerOptions.port' has no meaning here" in told
    assert "LOGS_FOLDER" not in told
    assert "hidden" not in told


def test_results_go_to_standard_output_and_the_rest_does_not(tmp_path: Path) -> None:
    imported = run("schema", "import", schema_file(tmp_path))
    assert (imported.stdout, "schema changes made" in imported.stderr) == ("", True)
    assert run("--version").stdout == f"{__version__}\n"


def test_every_command_and_option_has_a_help() -> None:
    def look_at(command: click.Command, path: str) -> None:
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{path}: {parameter.name}"
        for name, part in getattr(command, "commands", {}).items():
            look_at(part, f"{path} {name}")

    look_at(typer.main.get_command(cli), "parse-clone")


def test_the_data_lie_where_the_settings_say() -> None:
    run("check", "--database-uri", "sqlite:///here/it/is.sqlite3")
    with sqlite3.connect("here/it/is.sqlite3") as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]
    connection.close()
    assert Path("here/it/keys.json").exists()


def test_options_are_told_as_the_page_about_them() -> None:
    assert run("options").stdout == settings_page()
