"""HTTP to the outside, for webhooks. The address that a name resolves to is checked, and then called."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from functools import cache

import httpx

from parse_clone.core.networks import is_public

MOST_BYTES = 10_000_000


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Whose certificates are trusted; read once in a process, which takes milliseconds."""
    return httpx.create_ssl_context(trust_env=False)


class HttpxSender:
    """Posts by httpx. Redirects are not followed. Unless `allow_private`, only addresses of the public
    internet are called: a webhook must not reach what only this machine can."""

    def __init__(self, timeout: float, *, allow_private: bool) -> None:
        self._client = httpx.AsyncClient(
            verify=trusted_authorities(), timeout=timeout, follow_redirects=False, trust_env=False
        )
        self._timeout = timeout
        self._allow_private = allow_private

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Send a body and read the answer. Raises OSError if that fails."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._post(httpx.URL(url), headers, body)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise OSError(f"{type(error).__name__}: {error}") from error

    async def _post(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        host = url.host
        address = await self._checked_address(host, url.port)
        request = self._client.build_request(
            "POST",
            url.copy_with(host=address),
            headers={**headers, "Host": url.netloc.decode()},
            content=body,
            extensions={"sni_hostname": host},
        )
        response = await self._client.send(request, stream=True)
        try:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise OSError("the answer is too large")
            return response.status_code, bytes(content)
        finally:
            await response.aclose()

    async def _checked_address(self, host: str, port: int | None) -> str:
        """The address to call, resolved once: what is checked is what is called."""
        if self._allow_private:
            return host
        found = await asyncio.get_running_loop().getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(map(is_public, addresses)):
            raise OSError(f"{host} is not an address of the public internet")
        return addresses[0]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
