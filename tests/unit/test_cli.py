"""The command line, as a person uses it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from parse_clone.cli import cli
from parse_clone.configuration import settings_page

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


def test_a_check_tells_what_is_weak() -> None:
    output = run("check").output
    assert "The database answers" in output
    assert "Secure master key" in output


def test_mistakes_are_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    assert "not JSON" in run("schema", "import", "bad.json", status=1).output
    assert "is not JSON" in run("check", "--config", "bad.json", status=1).output
    assert "no such class" in run("schema", "export", "Ghost", status=1).output
    assert "You must provide an appId!" in run("serve", "--production", status=1).output
    assert "--workers needs MongoDB" in run("serve", "--workers", "2", status=1).output


def test_the_data_lie_where_the_settings_say() -> None:
    run("check", "--database-uri", "sqlite:///here/it/is.sqlite3")
    with sqlite3.connect("here/it/is.sqlite3") as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]
    connection.close()
    assert Path("here/it/keys.json").exists()


def test_options_are_told_as_the_page_about_them() -> None:
    assert run("options").stdout == settings_page()
