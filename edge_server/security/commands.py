"""The commands that make keys and change who is let in; a running server sees the change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, slots=True)
class Keygen:
    """Make a server's keys and its empty allow-list, or a client's keys.

    Nothing that exists is overwritten. The public file (.key) is for the other side; the secret
    one (.key_secret, mode 0600) stays.

    Attributes:
        folder: where to; it is made if there is none.
        client: make a client's pair of that name instead of a server's.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    client: str | None = None

    def run(self) -> int:
        """Make them; exit status 0."""
        from edge_server.security.server_folder import make_pair, make_server_folder

        if self.client is None:
            secret = make_server_folder(self.folder)
            print(f"server's secret key: {secret}")
            print(f"for the clients:     {secret.with_suffix('.key')}")
            print(f"start it with:       python -m edge_server --keys {self.folder} --bind ADDRESS")
        else:
            secret = make_pair(self.folder, self.client)
            print(f"client's secret key: {secret}")
            print(f"for the server:      {secret.with_suffix('.key')}")
        return 0


@dataclass(frozen=True, slots=True)
class Authorize:
    """Let a client in, by its public key.

    Attributes:
        folder: the server's keys.
        public_key: the client's .key file.
        name: how to call the client; as its file is called if not given.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    public_key: Annotated[Path, tyro.conf.Positional]
    name: str | None = None

    def run(self) -> int:
        """Add it; exit status 0."""
        from edge_server.security.allow_list import authorize
        from edge_server.security.server_folder import clients_folder

        name = authorize(clients_folder(self.folder), self.public_key, self.name)
        print(f"{name} is let in; a running server knows within a second")
        return 0


@dataclass(frozen=True, slots=True)
class Revoke:
    """Let a client in no more, and close the connection it has.

    Attributes:
        folder: the server's keys.
        name: the client's name.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    name: Annotated[str, tyro.conf.Positional]

    def run(self) -> int:
        """Remove it; exit status 0."""
        from edge_server.security.allow_list import revoke
        from edge_server.security.server_folder import clients_folder

        names = revoke(clients_folder(self.folder), self.name)
        print(f"{', '.join(names)}: let in no more; a running server knows within a second")
        return 0
