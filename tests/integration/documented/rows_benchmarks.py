"""Benchmarks."""

from __future__ import annotations

from documented.row import ByTest, Not, Row, Run

_QUICK_LINK = "--backend tun"
BENCHMARKS: tuple[Row, ...] = (
    (
        (
            "python benchmarks/ablation.py",
            "python benchmarks/ablation.py --steps 300000 --decisions 30000",
        ),
        ByTest(
            (
                "benchmarks/test_world_studies.py::"
                "test_an_ablation_with_nothing_hidden_finds_no_distance",
            )
        ),
    ),
    (
        ("python benchmarks/checkpoints.py",),
        Run("python benchmarks/checkpoints.py --steps 4096 --rounds 1 --every 0.01", "MiB"),
    ),
    (
        ("python benchmarks/decision.py",),
        Run("python benchmarks/decision.py --rounds 1", "million decisions/s"),
    ),
    (
        ("python benchmarks/compression.py",),
        Run(
            "python benchmarks/compression.py --rates-mbps 0 --runs 1 --payload-bytes 20000",
            "loopback │ noise",
            process=True,
        ),
    ),
    (
        (
            "python benchmarks/edge_rivals.py",
            "python benchmarks/edge_rivals.py --rounds 8",
        ),
        Run(  # what requirements-rivals.txt did not install is in the table with the reason
            "python benchmarks/edge_rivals.py --sizes 100 --round-trips 20 --rounds 2"
            " --task-ms 1 --busy-s 0.02 --clients 2",
            "this server",
            process=True,
        ),
    ),
    (
        ("python benchmarks/edge_server_speed.py",),
        Run(
            "python benchmarks/edge_server_speed.py --sizes 100 --round-trips 20 --rounds 1"
            " --requests 200 --throughput-runs 1 --clients 1 --workers 1",
            "tasks/s",
            process=True,
        ),
    ),
    (
        ("python benchmarks/edge_watching.py",),
        Run(
            "python benchmarks/edge_watching.py --round-trips 20 --requests 200 --rounds 1",
            "tasks/s",
            process=True,
        ),
    ),
    (
        ("python -m benchmarks.endless_message",),
        Run(
            "python -m benchmarks.endless_message --frame-bytes 65536 --max-mib 8",
            "edge server",
            process=True,
        ),
    ),
    (
        (
            "python benchmarks/fit_link_model.py",
            "python benchmarks/fit_link_model.py --plot FILE",
        ),
        ByTest(
            ("benchmarks/test_link_model_fit.py::test_the_whole_run_prints_both_halves_and_draws",)
        ),
    ),
    (
        (
            "python benchmarks/fit_link_process.py",
            "python benchmarks/fit_link_process.py --traces D",
        ),
        ByTest(
            (
                "benchmarks/test_link_process_fit.py::"
                "test_without_traces_the_last_fit_is_shown_and_said_so",
                "benchmarks/test_link_process_fit.py::"
                "test_measured_panels_hold_the_traces_as_they_are",
            )
        ),
    ),
    (
        ("python benchmarks/hindsight.py",),
        Run("python benchmarks/hindsight.py --scenarios 1 --labels 8", "11 episodes of 64 tasks"),
    ),
    (
        (
            "python benchmarks/irreducible.py",
            "python benchmarks/irreducible.py --objective latency",
            "python benchmarks/irreducible.py --policy ppo",
            "python benchmarks/irreducible.py --traces DIR",
            "python benchmarks/irreducible.py --objective NAME --policy NAME --traces DIR",
        ),
        Run(
            "python benchmarks/irreducible.py --objective mixed --policy ppo --traces <traces>"
            " --episodes 2 --redraws 4",
            "| ppo",
        ),
    ),
    (
        (
            "python benchmarks/measured_links.py --train DIR --val DIR --seeds 1 --steps 600000",
            "python benchmarks/measured_links.py --train D --val D --seeds 1 --steps 2 --shares 0",
        ),
        Run(
            "python benchmarks/measured_links.py --train <traces> --val <traces> --seeds 1"
            " --steps 2048 --shares 0.5 --decisions 640 --json <out>/links.json",
            "| 50% measured, seed 0 |",
            "links.json",
        ),
    ),
    (
        ("python benchmarks/memory.py",),
        Run(
            "python benchmarks/memory.py --parts server --idle-s 1.5",
            "edge server, idle",
            process=True,
        ),
    ),
    (
        ("python benchmarks/memory_value.py --train DIR --test DIR",),
        Run(
            "python benchmarks/memory_value.py --train <traces> --test <traces> --episodes 20",
            "learned on 1,280 decisions",
        ),
    ),
    (
        (
            "python benchmarks/oracle.py",
            "python benchmarks/oracle.py --sizes 10 30 --graphs 10 --tasks 200000",
        ),
        Run(
            "python benchmarks/oracle.py --sizes 5 --graphs 1 --tasks 100 --batches 1 --programs 4",
            "batches of 100",
        ),
    ),
    (
        ("python benchmarks/other_learners.py", "python benchmarks/other_learners.py --seeds 1"),
        Not("needs sb3-contrib (requirements-contrib.txt), which CI does not install"),
    ),
    (
        ("python benchmarks/probes.py", "python benchmarks/probes.py --backend uml --json FILE"),
        Run(
            f"python benchmarks/probes.py {_QUICK_LINK} --profiles wifi --measurements 1 --idle-s 1"
            " --loss-runs 1 --json <out>/probes.json",
            "wifi",
            "probes.json",
            process=True,
            link=True,
        ),
    ),
    (
        ("python benchmarks/small_behind_large.py",),
        Run(
            "python benchmarks/small_behind_large.py --profile lan --large-bytes 200000 --small 1",
            "pool (1 requests)",
            process=True,
        ),
    ),
    (
        (
            "python benchmarks/trace_replay.py",
            "python benchmarks/trace_replay.py F --backend uml --seconds 30 --json F --plots DIR",
        ),
        Run(
            f"python benchmarks/trace_replay.py <trace> {_QUICK_LINK} --seconds 1"
            " --json <out>/replay.json --plots <out>",
            "| downlink_tcp |",
            "trace-replay-*.png",
            process=True,
            link=True,
        ),
    ),
    (
        (
            "python benchmarks/training.py",
            "python benchmarks/training.py --long --steps 20000",
        ),
        Run(
            "python benchmarks/training.py --long --span-s 0.01 --steps 2048 --usual-steps 64"
            " --long-steps 100000",
            "SB3's usual PPO",
        ),
    ),
    (
        ("python benchmarks/transfers.py",),
        Run(
            f"python benchmarks/transfers.py {_QUICK_LINK} --profiles lan --max-bytes 1000",
            "model s",
            process=True,
            link=True,
        ),
    ),
)
