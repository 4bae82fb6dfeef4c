"""Who gets in, who does not, and how soon a change of the allow-list counts."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from edge_server_tasks import run_task
from raw_client import RawClient
from running_edge_server import a_task, wait_until
from zmq.utils import z85

from edge_server.__main__ import main
from edge_server.client import EdgeClient
from edge_server.config import ServerConfig
from edge_server.security.authenticator import HANDSHAKES_PER_S, Authenticator
from edge_server.security.keys import ClientKeys, KeyPair
from edge_server.server import EdgeServer
from offload.errors import ConfigError, RemoteError, RemoteFailure, RemoteTimeout

pytestmark = pytest.mark.measured

NOTICED_S = 3.0
"""0.5 s until the folder is read again, 0.05 s until it is asked, the rest for a busy machine."""


@pytest.fixture
def keys(tmp_path: Path, capsys) -> Path:
    """A server's keys that let one client in, phone; its own are in the folder beside."""
    assert main(["keygen", str(tmp_path / "keys")]) == 0
    assert main(["keygen", str(tmp_path / "devices"), "--client", "phone"]) == 0
    assert main(["authorize", str(tmp_path / "keys"), str(tmp_path / "devices/phone.key")]) == 0
    return tmp_path / "keys"


@pytest.fixture
def phone(keys: Path) -> ClientKeys:
    return ClientKeys.load(keys.parent / "devices/phone.key_secret", keys / "server.key")


def served(client: EdgeClient) -> bool:
    try:
        return client.execute(a_task("echo"), b"hello", 2.0).output == b"hello"
    except RemoteError:
        return False


def refusal(client: EdgeClient) -> str:
    try:
        client.ping(1.0)
    except RemoteFailure as error:
        return error.code
    except RemoteTimeout:
        return "timeout"
    return ""


def noticed_after(condition: Callable[[], bool]) -> float:
    start_s = time.monotonic()
    assert wait_until(condition, 10.0)
    return time.monotonic() - start_s


def test_the_authorised_client_is_served_and_no_other(start_server, connect, keys, phone):
    server = start_server(keys=keys)
    assert served(connect(server.port, keys=phone))
    stranger = connect(server.port, keys=replace(phone, own=KeyPair.generate()))
    with pytest.raises(RemoteFailure, match="has not authorised this client") as refused:
        stranger.ping(5.0)
    assert refused.value.code == "unauthorised"
    with pytest.raises((RemoteFailure, RemoteTimeout), match=r"wants (a client with )?keys"):
        connect(server.port).ping(5.0)
    misled = replace(phone, server_public=KeyPair.generate().public)
    with pytest.raises(RemoteTimeout, match="another key than the given"):
        connect(server.port, keys=misled).ping(5.0)
    gate = server.server._gate
    assert wait_until(lambda: gate.counts["refused"] >= 3)
    assert (gate.counts["accepted"], gate.counts["not_authorised"]) == (1, 1)


def test_a_client_with_keys_does_not_talk_to_a_server_without(start_server, connect, phone):
    client = connect(start_server().port, keys=phone)
    with pytest.raises((RemoteFailure, RemoteTimeout)):
        client.execute(a_task("echo"), b"a secret", 2.0)


def test_a_large_payload_goes_both_ways_encrypted(start_server, connect, keys, phone):
    client = connect(start_server(keys=keys).port, keys=phone)
    payload = bytes(range(256)) * 4096
    assert client.execute(a_task("echo"), payload, 20.0).output == payload


def test_who_is_authorised_later_gets_in_without_a_restart(start_server, connect, keys, phone):
    server = start_server(keys=keys)
    devices = keys.parent / "devices"
    assert main(["keygen", str(devices), "--client", "tablet"]) == 0
    tablet = replace(phone, own=KeyPair.load(devices / "tablet.key_secret"))
    client = connect(server.port, keys=tablet)
    assert not served(client)
    assert main(["authorize", str(keys), str(devices / "tablet.key")]) == 0
    # The client itself tries again a second after it was refused.
    assert noticed_after(lambda: served(client)) < NOTICED_S + 2.0


def test_revoking_ends_the_connection_and_its_user_stays_out(start_server, connect, keys, phone):
    server = start_server(keys=keys)
    devices = keys.parent / "devices"
    assert main(["keygen", str(devices), "--client", "tablet"]) == 0
    assert main(["authorize", str(keys), str(devices / "tablet.key")]) == 0
    other = connect(
        server.port, keys=replace(phone, own=KeyPair.load(devices / "tablet.key_secret"))
    )
    client = connect(server.port, keys=phone)
    assert served(client)
    assert wait_until(lambda: served(other))
    assert main(["revoke", str(keys), "phone"]) == 0
    assert noticed_after(lambda: not served(client)) < NOTICED_S
    assert server.server._gate.counts["closed_revoked"] == 1
    assert wait_until(lambda: refusal(client) == "unauthorised")
    assert not served(connect(server.port, keys=phone))
    assert served(other)


def test_a_key_has_one_share_however_many_connections_it_leaves(keys, phone):
    """What a connection has sent is still its user's when it is read after the connection's end."""
    config = ServerConfig(port=0, workers=1, queue=100, keys=keys)
    with EdgeServer(config, run_task=run_task) as server, zmq.Context() as context:
        server.start()
        for _ in range(2):
            client = RawClient(context, server.port, phone)
            for _ in range(16):
                client.send("sleep", b"60")
            client._socket.setsockopt(zmq.LINGER, 30_000)
            client.close()
        context.term()  # all is sent, and both have gone, before the server looks
        serving = threading.Thread(target=server.serve)
        serving.start()
        assert wait_until(lambda: server.state().received == 32)
        assert wait_until(lambda: server._mailbox.tally.outcomes["busy"] == 16)
        state = server.state()
        assert state.waiting + state.running == 16
        server.stop()
        server.stop()
        serving.join()


def test_without_its_folder_nobody_is_let_in(start_server, connect, keys, phone):
    server = start_server(keys=keys)
    client = connect(server.port, keys=phone)
    assert served(client)
    shutil.rmtree(keys / "clients")
    assert noticed_after(lambda: not served(client)) < NOTICED_S
    assert not served(connect(server.port, keys=phone))


def test_a_dead_authenticator_locks_everybody_out(start_server, connect, keys, phone):
    server = start_server(keys=keys)
    before = connect(server.port, keys=phone)
    assert served(before)
    gate = server.server._gate
    assert not gate.locked
    gate._authenticator.close()
    assert gate.locked
    with pytest.raises(RemoteError):
        connect(server.port, keys=phone).execute(a_task("echo"), b"", 1.0)
    assert served(before)  # who is in stays in


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.1", "eth0", "*"])
def test_beyond_the_loopback_keys_are_a_must(bind, keys):
    with pytest.raises(ConfigError, match=r"edge_server keygen DIR makes them, --keys DIR uses"):
        ServerConfig(bind=bind)
    assert ServerConfig(bind=bind, keys=keys).is_exposed
    assert ServerConfig(bind=bind, insecure_let_anybody_in=True).is_exposed
    with pytest.raises(ConfigError, match="exclude each other"):
        ServerConfig(bind=bind, keys=keys, insecure_let_anybody_in=True)


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.8.9.1", "::1", "lo"])
def test_the_loopback_needs_none(bind):
    assert not ServerConfig(bind=bind).is_exposed


def test_an_open_server_says_so(start_server, caplog):
    start_server(bind="0.0.0.0", insecure_let_anybody_in=True)
    assert "anybody who reaches 0.0.0.0 can run tasks here" in caplog.text


def test_a_key_that_knocks_too_often_has_to_wait():
    key = KeyPair.generate().public
    start_s = time.monotonic()
    with zmq.Context() as context:
        authenticator = Authenticator(context, lambda public: public == key)
        try:
            with context.socket(zmq.REQ) as libzmq:
                libzmq.connect("inproc://zeromq.zap.01")
                statuses = Counter(_ask(libzmq, b"offload", key) for _ in range(300))
                took_s = time.monotonic() - start_s
                assert 200 <= statuses[b"200"] <= 201 + HANDSHAKES_PER_S * took_s
                assert statuses[b"200"] + statuses[b"300"] == 300
                time.sleep(2 / HANDSHAKES_PER_S)
                assert _ask(libzmq, b"offload", key) == b"200"
                assert _ask(libzmq, b"offload", KeyPair.generate().public) == b"400"
                assert _ask(libzmq, b"another", key) == b"400"
            assert authenticator.counts["not_authorised"] == 2
        finally:
            authenticator.close()


def _ask(libzmq: zmq.Socket[bytes], domain: bytes, key: bytes) -> bytes:
    """What libzmq asks at a handshake (RFC 27); the status it is told."""
    frames = [b"1.0", b"7", domain, b"127.0.0.1", b"", b"CURVE", z85.decode(key)]
    libzmq.send_multipart(frames)
    assert libzmq.poll(5000)
    return libzmq.recv_multipart()[2]
