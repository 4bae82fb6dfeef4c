"""The edge server, programs that use it, running it as a service, and the chaos suite."""

from __future__ import annotations

from documented.row import ByTest, Not, Row, Run

_COMMAND = "edge_server/test_edge_server_command.py::"
_LET_IN = "edge_server/security/test_let_in.py::"
_RAY = "edge_server/test_ray_executor.py::"
_EXAMPLES = "client_library/test_examples.py::"
_DEPLOYMENT = "deploy/test_deployment.py::"
_ON_A_HOST = Not("an operator's machine: users, services and files outside the checkout")

EDGE: tuple[Row, ...] = (
    (
        ("python -m edge_server",),
        ByTest((f"{_COMMAND}test_ready_line_service_and_clean_end",)),
    ),
    (
        (
            "python -m edge_server keygen keys",
            "python -m edge_server keygen mine --client phone",
        ),
        Run(
            "python -m edge_server keygen <out>/mine --client phone",
            "phone.key",
            "mine/phone.key_secret",
        ),
    ),
    (
        ("python -m edge_server authorize keys phone.key",),
        ByTest((f"{_LET_IN}test_who_is_authorised_later_gets_in_without_a_restart",)),
    ),
    (
        ("python -m edge_server revoke keys phone",),
        ByTest((f"{_LET_IN}test_revoking_ends_the_connection_and_its_user_stays_out",)),
    ),
    (
        ("python -m edge_server --keys keys --bind 0.0.0.0",),
        ByTest(
            (
                f"{_LET_IN}test_beyond_the_loopback_keys_are_a_must",
                f"{_DEPLOYMENT}test_the_server_takes_the_options",
            )
        ),
    ),
    (
        (
            "python -m edge_server --executor ray --ray-address HOST:PORT",
            "python -m edge_server --executor ray --ray-address HOST:PORT --workers 8 --keys DIR"
            " --bind 0.0.0.0",
        ),
        ByTest(
            (
                f"{_RAY}test_a_task_gets_its_bytes_back",
                f"{_LET_IN}test_beyond_the_loopback_keys_are_a_must",
            ),
            unnamed=("--executor", "--ray-address"),
        ),
    ),
    (
        ("python scripts/local_ray_cluster.py --nodes 2",),
        ByTest((f"{_RAY}test_a_task_gets_its_bytes_back", "ray_cluster.py::ray_cluster")),
    ),
    (
        (
            "RAY_USAGE_STATS_ENABLED=0 ray start --head --port 6379 --node-ip-address 10.0.0.1"
            " --include-dashboard=false",
            "RAY_USAGE_STATS_ENABLED=0 ray start --address 10.0.0.1:6379 --node-ip-address 1.0.0.2",
        ),
        Not("of several machines; scripts/local_ray_cluster.py starts the tests' cluster"),
    ),
    (
        (
            "PYTHONPATH=. python examples/one_task.py 127.0.0.1 5555",
            "PYTHONPATH=. python examples/many_tasks.py 127.0.0.1 5555",
        ),
        ByTest((f"{_EXAMPLES}test_the_projects_own_tasks_sync_and_async",)),
    ),
    (
        (
            "PYTHONPATH=. python examples/own_server.py 5556 &",
            "PYTHONPATH=. python examples/own_task.py 127.0.0.1 5556",
        ),
        ByTest((f"{_EXAMPLES}test_a_task_of_ones_own",)),
    ),
    (
        ("PYTHONPATH=. python examples/with_keys.py HOST PORT phone.key_secret server.key",),
        ByTest((f"{_EXAMPLES}test_with_keys",)),
    ),
    (("scp mine/phone.key edge:", "scp edge:keys/server.key ."), _ON_A_HOST),
    (
        (
            "useradd --system --home-dir DIR --shell /usr/sbin/nologin offload-edge",
            "cd /opt/offload",
            "python3 -m venv .venv",
            ".venv/bin/pip install -r requirements-server.txt",
            "install -d -o offload-edge -g offload-edge -m 0700 DIR",
            "runuser -u offload-edge -- .venv/bin/python -m edge_server keygen DIR",
            "cp deploy/systemd/offload-edge.service /etc/systemd/system/",
            "systemctl enable --now offload-edge",
        ),
        _ON_A_HOST,
    ),
    (
        (
            "podman build --format docker -f deploy/container/Dockerfile -t offload-edge .",
            "podman volume create keys",
            "podman run --rm -v keys:DIR offload-edge keygen DIR",
            "podman compose -f deploy/container/compose.yaml up -d",
        ),
        Not("a container engine and a registry; test_deployment.py reads both files"),
    ),
    (
        ("python -m evidence.chaos", "python -m evidence.chaos --short"),
        ByTest(("evidence/test_chaos_suite.py::test_every_row_of_the_short_form_passes",)),
    ),
    (
        ("python -m evidence.chaos --short --only link overload",),
        ByTest(("evidence/test_chaos_suite.py::test_every_row_of_the_short_form_passes",)),
    ),
    (
        (
            "python -m evidence.chaos --full",
            "python -m evidence.chaos --full --only ROW",
            "python -m evidence.chaos --full --count 20 --only soak",
            "python -m evidence.chaos --full --resume results/FOLDER",
        ),
        Run(
            "python -m evidence.chaos --full --count 50000 --only mutated-frames --resume <out>",
            "| 50,000 frames | every invariant | all hold; 0 tasks | **pass** |",
            "chaos.json",
            process=True,
        ),
    ),
)
