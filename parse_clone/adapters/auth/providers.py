"""The login providers by the name they have in `authData`. To add one: a file here, a line in the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from parse_clone.adapters.auth.anonymous import Anonymous
from parse_clone.errors import SettingsError
from parse_clone.ports import AuthProvider

Options = Mapping[str, object]

PROVIDERS: Mapping[str, Callable[[Options], AuthProvider]] = {
    "anonymous": lambda options: Anonymous(),
}


def configured_providers(auth: Mapping[str, object], *, anonymous: bool = True) -> dict[str, AuthProvider]:
    """Make the providers that the settings name; `auth` holds options, or providers made elsewhere."""
    providers: dict[str, AuthProvider] = {"anonymous": Anonymous()} if anonymous else {}
    for name, options in auth.items():
        if not isinstance(options, Mapping):
            providers[name] = options  # type: ignore[assignment]  # whoever assembles the server vouches for it
        elif options.get("enabled", True) is not False and (anonymous or name != "anonymous"):
            providers[name] = _make(name, options)
    return providers


def _make(name: str, options: Options) -> AuthProvider:
    factory = PROVIDERS.get(name)
    if factory is None:
        raise SettingsError(f"auth.{name}: there is no such login provider")
    return factory(options)
