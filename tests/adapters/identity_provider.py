"""An identity provider for tests: real keys, real tokens, and its JWKS over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://login.example.com", "gateway"


class Provider:
    """`jwks` is served while it says so; `sign` makes tokens with one of its keys."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {
            "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
        }
        self.url = ""
        self.up = True
        self.asked = 0
        self.jwks = {"keys": [self.public(name) for name in self.private]}

    def public(self, algorithm: str, kid: str = "") -> dict[str, Any]:
        """A key of the JWKS; its id is its algorithm's name."""
        kinds: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
        row = kinds[algorithm].to_jwk(self.private[algorithm].public_key(), as_dict=True)
        return {**row, "kid": kid or algorithm, "use": "sig"}

    def sign(self, algorithm: str = "RS256", kid: str | None = "", **claims: Any) -> str:
        """A token that is good for a minute, but for `claims`; None takes one away."""
        now = time.time()
        every = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 60, "iat": now, "sub": "ada"}
        every |= {"groups": ["dev"], **claims}
        said = {name: value for name, value in every.items() if value is not None}
        head = {} if kid is None else {"kid": kid or algorithm}
        return jwt.encode(said, self.private[algorithm], algorithm, headers=head)


@contextmanager
def provider() -> Iterator[Provider]:
    """One that listens on this machine."""
    found = Provider()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            body = json.dumps(found.jwks).encode()
            self.send_response(200 if found.up else 500)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    found.url = f"http://127.0.0.1:{server.server_port}/jwks"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
