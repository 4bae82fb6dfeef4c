"""Key files as they lie on the disk, and the commands that make and move them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq.auth

from edge_server.__main__ import main
from edge_server.config import ServerConfig
from edge_server.security.allow_list import AllowList
from edge_server.security.key_files import read_pair, read_public
from edge_server.security.keys import ClientKeys, KeyPair
from edge_server.server import EdgeServer
from offload.errors import ConfigError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def made(tmp_path: Path, capsys) -> Path:
    assert main(["keygen", str(tmp_path / "keys")]) == 0
    assert main(["keygen", str(tmp_path / "phone"), "--client", "phone"]) == 0
    assert main(["authorize", str(tmp_path / "keys"), str(tmp_path / "phone/phone.key")]) == 0
    capsys.readouterr()
    return tmp_path


def test_what_keygen_leaves(made):
    files = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    assert files == [
        "keys/clients/phone.key",
        "keys/server.key",
        "keys/server.key_secret",
        "phone/phone.key",
        "phone/phone.key_secret",
    ]
    assert [mode(made / name) for name in files] == [0o644, 0o644, 0o600, 0o644, 0o600]
    assert mode(made / "keys") == mode(made / "keys/clients") == 0o700
    # pyzmq's own reader of these files agrees, and curve_public derives one key from the other.
    public, secret = zmq.auth.load_certificate(made / "keys/server.key_secret")
    assert zmq.curve_public(secret) == public
    assert read_pair(made / "keys/server.key_secret") == (public, secret)
    assert read_public(made / "keys/server.key") == public
    assert secret not in (made / "keys/server.key").read_bytes()


def test_the_umask_does_not_open_a_secret_key(tmp_path):
    before = os.umask(0)
    try:
        assert main(["keygen", str(tmp_path / "keys")]) == 0
    finally:
        os.umask(before)
    assert mode(tmp_path / "keys/server.key_secret") == 0o600
    assert mode(tmp_path / "keys") == 0o700


def test_nothing_is_overwritten_and_nothing_half_done_stays(made, capsys):
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert main(["keygen", str(made / "keys")]) == 2
    assert "server.key_secret exists; a key is never overwritten" in capsys.readouterr().err
    (made / "phone/tablet.key").write_text("of somebody else")
    assert main(["keygen", str(made / "phone"), "--client", "tablet"]) == 2
    assert not (made / "phone/tablet.key_secret").exists()
    assert main(["authorize", str(made / "keys"), str(made / "phone/phone.key")]) == 2
    assert "this key is authorised already, as 'phone'" in capsys.readouterr().err
    (made / "phone/tablet.key").unlink()
    after = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("name", "bad_mode", "line"),
    [
        ("keys/server.key_secret", 0o640, "chmod 600 {}"),
        ("keys/server.key_secret", 0o602, "chmod 600 {}"),
        ("keys/clients", 0o770, "chmod go-w {}"),
        ("keys", 0o702, "chmod go-w {}"),
    ],
)
def test_a_server_does_not_start_on_keys_that_others_can_touch(made, name, bad_mode, line):
    path = made / name
    path.chmod(bad_mode)
    with pytest.raises(ConfigError, match=line.format(path)):
        EdgeServer(ServerConfig(port=0, keys=made / "keys"))


def test_a_client_does_not_take_keys_that_others_can_touch(made):
    own, server = made / "phone/phone.key_secret", made / "keys/server.key"
    assert ClientKeys.load(own, server).own.public == read_public(made / "phone/phone.key")
    server.chmod(0o666)
    with pytest.raises(ConfigError, match=f"chmod go-w {server}"):
        ClientKeys.load(own, server)
    own.chmod(0o604)
    with pytest.raises(ConfigError, match=f"chmod 600 {own}"):
        ClientKeys.load(own, server)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_key_of_another_user_is_refused(made):
    path = made / "phone/phone.key_secret"
    os.chown(path, 65534, -1)
    with pytest.raises(ConfigError, match=f"belongs to user 65534, .*: chown 0 {path}"):
        KeyPair.load(path)


def test_what_is_no_key(made):
    path = made / "phone/phone.key_secret"
    text = path.read_text()
    other = KeyPair.generate()
    for wrong, message in [
        ("", "holds no public-key"),
        (text[:-20], "holds no secret-key"),
        (text.replace('"', "'"), "holds no public-key"),
        (text.replace(read_public(made / "phone/phone.key").decode(), "x" * 39), "no key of 40"),
        (text.replace(read_public(made / "phone/phone.key").decode(), '~"' * 20), "holds no"),
        (text.replace(read_pair(path)[0].decode(), other.public.decode()), "does not belong"),
        ("#" * 5000, "more than 4096 bytes"),
    ]:
        path.write_text(wrong)
        with pytest.raises(ConfigError, match=message):
            KeyPair.load(path)
        path.write_text(text)
    os.mkfifo(made / "fifo", 0o600)
    with pytest.raises(ConfigError, match="no regular file"):
        KeyPair.load(made / "fifo")


def test_a_secret_key_is_not_taken_for_a_public_one(made, capsys):
    assert main(["keygen", str(made / "phone"), "--client", "tablet"]) == 0
    secret = made / "phone/tablet.key_secret"
    assert main(["authorize", str(made / "keys"), str(secret)]) == 2
    assert "is a secret key, which should stay" in capsys.readouterr().err
    assert "secret-key" not in repr(KeyPair.load(secret))
    assert KeyPair.load(secret).secret.decode() not in repr(KeyPair.load(secret))


@pytest.mark.parametrize("name", ["../phone", "a/b", "", ".hidden", "x" * 65, "a.key"])
def test_a_name_is_no_path(made, name, capsys):
    assert main(["keygen", str(made / "phone"), "--client", name]) == 2
    key = str(made / "phone/phone.key")
    assert main(["revoke", str(made / "keys"), "phone"]) == 0
    assert main(["authorize", str(made / "keys"), key, "--name", name]) == 2
    assert "is no name for a key" in capsys.readouterr().err


def test_revoke_takes_the_key_out_under_all_its_names(made, capsys):
    clients = made / "keys/clients"
    (clients / "spare.key").write_text((clients / "phone.key").read_text())
    assert main(["revoke", str(made / "keys"), "phne"]) == 2
    assert "Did you mean 'phone'?" in capsys.readouterr().err
    assert main(["revoke", str(made / "keys"), "phone"]) == 0
    assert capsys.readouterr().out.startswith("phone, spare: let in no more")
    assert list(clients.iterdir()) == []


def test_a_key_that_others_could_have_put_there_lets_nobody_in(made, caplog):
    public = read_public(made / "phone/phone.key")
    path = made / "keys/clients/phone.key"
    assert AllowList(path.parent).name_of(public) == "phone"
    path.chmod(0o664)
    assert AllowList(path.parent).name_of(public) is None
    assert f"chmod go-w {path}" in caplog.text
