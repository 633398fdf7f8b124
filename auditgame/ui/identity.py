"""Who is at the door? Guests keep a signed cookie; nobody needs an account."""

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
        """The token in this cookie; None where it is missing or was not signed here."""
        try:
            token = self._signer.loads(cookie or "")
        except BadSignature:
            return None
        return token if isinstance(token, str) else None


class GuestCookie:
    """ASGI middleware: a page visited without a good cookie gets one; all get safe headers."""

    def __init__(self, app: ASGIApp, book: GuestTokens) -> None:
        self.app = app
        self.book = book

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add to the head of the answer."""
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
        known = self.book.read(cookie_parser(headers.get("cookie", "")).get(COOKIE))
        if known or not page:
            return None
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        return (
            f"{COOKIE}={self.book.issue()}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax{secure}"
        )
