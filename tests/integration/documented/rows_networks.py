"""Emulated networks: ``python -m netem``."""

from __future__ import annotations

from documented.row import ByTest, Not, Row, Run

_UP = "netem/test_netem_cli.py::test_up_"
NETWORKS: tuple[Row, ...] = (
    (
        ("python -m netem doctor",),
        ByTest(
            (
                "netem/test_netem_cli.py::test_doctor_names_every_backend_and_what_the_machine_allows",
            )
        ),
    ),
    (
        ("python -m netem profiles",),
        ByTest(("netem/test_netem_cli.py::test_profiles_prints_every_profile",)),
    ),
    (
        (
            "python -m netem conform",
            "python -m netem conform --backend tc",
            "python -m netem conform --backend NAME --json FILE",
            "python -m netem conform --backend NAME --quick --json FILE",
        ),
        ByTest(
            (
                "netem/test_conformance.py::"
                "test_the_proxy_does_what_it_claims_and_the_command_says_so",
            )
        ),
    ),
    (
        ("python -m netem cycle --backend NAME --times 50",),
        ByTest(("netem/test_start_stop_cycles.py::test_the_command_says_so_and_refuses_nonsense",)),
    ),
    (
        ("python -m netem measure congested", "python -m netem measure all --json FILE"),
        ByTest(("netem/test_netem_cli.py::test_measure_writes_the_file",)),
    ),
    (
        ("python -m netem probe ADDRESS", "python -m netem respond"),
        ByTest(("netem/test_netem_cli.py::test_respond_and_probe_meet_and_sigterm_ends_it",)),
    ),
    (
        ("python -m netem respond --tcp",),
        ByTest(("netem/test_tcp_probes.py::test_the_command_answers_over_tcp",)),
    ),
    (
        ("python -m netem up lte -- bash",),
        ByTest((f"{_UP}passes_the_address_and_the_exit_code",)),
    ),
    (
        ("python -m netem up wifi --backend tun --seed 7 -- bash",),
        Run(
            "python -m netem up wifi --backend tun --seed 7 -- python -c 'print(40 + 2)'",
            "42",
            process=True,
            link=True,
        ),
    ),
    (
        (
            "python -m netem up 3g --edge-command X --edge-port 80 -- curl",
            "python -m netem up 3g --backend proxy --edge-command X --edge-port 80 -- curl",
        ),
        Run(
            "python -m netem up 3g --backend proxy"
            " --edge-command 'python -m http.server {port} --bind {edge}' --edge-port <port> --"
            " python -c '<fetch>' http://{edge}:{port}/",
            "pyproject.toml",
            process=True,
            link=True,
        ),
    ),
    (
        ("python -m netem up lte --congestion-control c --edge-command X --edge-port 1 -- iperf3",),
        ByTest((f"{_UP}sets_the_congestion_control_of_any_program", f"{_UP}counts_what_crossed")),
    ),
    (
        ("python -m netem play FILE -- bash",),
        ByTest(("netem/test_trace_player.py::test_the_command_replays_while_the_program_runs",)),
    ),
    (
        (
            "python -m netem play FILE --loop -- bash",
            "python -m netem play FILE --edge-command X --edge-port 1 -- iperf3",
        ),
        Run(
            "python -m netem play <trace> --loop --backend proxy"
            " --edge-command 'python -m http.server {port} --bind {edge}' --edge-port <port> --"
            " python -c '<fetch>' http://{edge}:{port}/",
            "pyproject.toml",
            process=True,
            link=True,
        ),
    ),
    (
        ("PYTHONPATH=. python tests/netem/tc_without_netem.py",),
        Not("a table of one machine's kernel in some minutes; as root"),
    ),
    (
        ("apt-get install user-mode-linux iproute2",),
        Not("scripts/setup.sh has apt-get install what the machine lacks"),
    ),
)
