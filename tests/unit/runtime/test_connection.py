"""How what is applied is written down: JSON that is YAML as well."""

from __future__ import annotations

import asyncio
import asyncio.sslproto
import json
import ssl

import pytest
import yaml

from accord.adapters.kubernetes.connection import in_yaml, read_in_small_pieces


def test_every_character_is_read_by_a_yaml_parser_as_it_was() -> None:
    everything = "".join(chr(code) for code in (*range(1, 0x3000), *range(0xD700, 0xD800), *range(0xE000, 0x10000)))
    text = f"{everything} 🚀 𝔘𝔫𝔦 \\ud83d \\u2028 'single' \"double\" #: {{}}"
    written = in_yaml({"value": text}).decode()
    assert yaml.safe_load(written) == {"value": text}
    assert json.loads(written) == {"value": text}


def test_half_a_surrogate_pair_is_replaced_as_the_api_server_would() -> None:
    assert yaml.safe_load(in_yaml({"value": "a\ud83db"})) == {"value": "a\ufffdb"}


def test_a_tls_connection_holds_a_buffer_of_the_size_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.sslproto.SSLProtocol, "max_size", 256 * 1024)

    async def buffered() -> int:
        loop = asyncio.get_running_loop()
        protocol = asyncio.sslproto.SSLProtocol(
            loop, asyncio.Protocol(), ssl.create_default_context(), loop.create_future()
        )
        return len(protocol.get_buffer(-1))

    assert asyncio.run(buffered()) == 256 * 1024
    read_in_small_pieces(16 * 1024)
    assert asyncio.run(buffered()) == 16 * 1024
