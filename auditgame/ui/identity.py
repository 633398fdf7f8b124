"""Guests without accounts: a signed cookie tells one visitor from another."""

from __future__ import annotations

import secrets

from itsdangerous import BadSignature, URLSafeSerializer
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "auditgame_guest"
YEAR = 365 * 24 * 3600
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
}


class GuestTokens:
    """Signs guest tokens and checks the signature of those that come back."""

    def __init__(self, secret: bytes) -> None:
        self._signer = URLSafeSerializer(secret, salt="auditgame guest")

    def issue(self) -> str:
        """A new signed token that nobody can guess."""
        return str(self._signer.dumps(secrets.token_hex(16)))

    def read(self, cookie: str | None) -> str | None:
        """The token in this cookie; None where it is missing or was not signed by this host."""
        try:
            token = self._signer.loads(cookie or "")
        except BadSignature:
            return None
        return token if isinstance(token, str) else None


class GuestCookie:
    """ASGI middleware: sets a cookie on pages visited without a valid one, and safe headers."""

    def __init__(self, app: ASGIApp, tokens: GuestTokens) -> None:
        self.app = app
        self.tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add headers to the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        fresh = self._fresh(scope)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if fresh:
                    headers.append("set-cookie", fresh)
            await send(message)

        await self.app(scope, receive, send_with_cookie)

    def _fresh(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
        known = self.tokens.read(cookie_parser(headers.get("cookie", "")).get(COOKIE))
        if known or not page:
            return None
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        token = self.tokens.issue()
        return f"{COOKIE}={token}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax{secure}"
