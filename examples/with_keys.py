"""A server that checks keys: python examples/with_keys.py HOST PORT SECRET_KEY SERVER_KEY.

The files are made by ``python -m edge_server keygen``; see docs/security.md.
"""

import sys

from edge_server.security.keys import ClientKeys
from offload import ClientConfig, connect
from offload.tasks import get_task

host, port, own_key, server_key = sys.argv[1:]
keys = ClientKeys.load(own_key, server_key)
payload = get_task("matmul").make_input("small", seed=0)
with connect(host, int(port), keys=keys, config=ClientConfig(policy="always-edge")) as offloader:
    report = offloader.run("matmul", payload, deadline_s=10.0)
print(report.site, report.why)
