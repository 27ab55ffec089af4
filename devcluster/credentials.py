"""Keys, tokens and kubeconfig files, with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path

# SEC 1 ECPrivateKey with the curve named and the public point left out: Go computes the point when it reads the key,
# so 32 random octets are all it takes. SEQUENCE { INTEGER 1, OCTET STRING (32), [0] { OID prime256v1 } }
_EC_HEAD = bytes.fromhex("30310201010420")
_EC_TAIL = bytes.fromhex("a00a06082a8648ce3d030107")


def write_service_account_key(path: Path) -> None:
    """A new P-256 private key; the API server and the controller manager read both halves from it."""
    secret = bytearray(secrets.token_bytes(32))
    secret[0] &= 0x7F  # keeps the number below the order of the curve
    body = base64.encodebytes(_EC_HEAD + bytes(secret) + _EC_TAIL).decode().replace("\n", "")
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    write_private(path, "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----", ""]))


def new_token() -> str:
    """A bearer token nobody can guess."""
    return secrets.token_hex(20)


def write_tokens(path: Path, users: dict[str, tuple[str, str]]) -> None:
    """The API server's static token file: user → (token, group)."""
    write_private(path, "".join(f'{token},{user},{user},"{group}"\n' for user, (token, group) in users.items()))


def write_kubeconfig(path: Path, server: str, certificate: Path, token: str, name: str = "accord-devcluster") -> None:
    """A kubeconfig that needs no other file. JSON is YAML, so every client reads it."""
    authority = base64.b64encode(certificate.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    write_private(path, json.dumps(config, indent=1) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write whole or not at all, readable by the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.unlink() if scratch.exists() else None
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    scratch.replace(path)
