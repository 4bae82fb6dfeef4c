"""Evaluation, simulated and live, and what is made of its folders."""

from __future__ import annotations

from documented.row import ByTest, Row, Run

_SIM = "--decisions 640 --hindsight 0 --no-report --runs <none> --out <out>"
_LIVE = ("integration/test_evaluate_live.py::"
         "test_a_short_live_run_measures_both_sides_and_leaves_nothing")  # fmt: skip
_SWEEP = ("evidence/test_sweep_live.py::"
          "test_a_sweep_goes_on_where_it_stopped_is_void_once_and_finds_its_crossover")  # fmt: skip
_DRIVE = "evidence/test_drive_live.py::test_two_policies_meet_the_same_tasks_at_the_same_moments"

EVALUATION: tuple[Row, ...] = (
    (
        (
            "python evaluate.py --mode sim --profile all",
            "python evaluate.py --mode sim --profile all --json FILE",
            "python evaluate.py --mode sim --profile all --objective latency",
            "python evaluate.py --mode sim --profile all --run DIR",
            "python evaluate.py --mode sim --profile all --policies all --run DIR",
        ),
        Run(
            "python evaluate.py --mode sim --profile all --policies all --run <run> --json"
            f" <out>/all.json --objective mixed {_SIM}",
            "imitation-boosting",
            "all.json",
        ),
    ),
    (
        (
            "python evaluate.py --mode sim --traces DIR --policies all",
            "python evaluate.py --mode sim --traces DIR --policies all --json FILE",
            "python evaluate.py --mode sim --traces DIR --policies all --run DIR",
        ),
        Run(
            "python evaluate.py --mode sim --traces <traces> --policies all --run <run>"
            f" --json <out>/traces.json {_SIM}",
            "measured links: 2 from",
            "traces.json",
        ),
    ),
    (
        ("python evaluate.py --calibration FILE --profile lte",),
        Run(
            f"python evaluate.py --calibration <calibration> --profile lte --mode sim {_SIM}",
            "maui-true",
        ),
    ),
    (
        (
            "python evaluate.py",
            "python evaluate.py --profile lte",
            "python evaluate.py --profile lte --watch",
            "python evaluate.py --mode live --profile NAME --tasks 40",
        ),
        ByTest((_LIVE,)),
    ),
    (
        (
            "python evaluate.py --policies all",
            "python evaluate.py --profile lte --tasks 200 --policies ppo",
            "python evaluate.py --profile wifi --backend proxy --tasks 6",
        ),
        ByTest(
            (
                "integration/test_evaluate_proxy.py::"
                "test_the_output_and_the_summary_say_what_a_proxy_leaves_out",
            )
        ),
    ),
    (
        ("python evaluate.py --trace FILE",),
        ByTest(("integration/test_evaluate_live.py::test_a_live_run_replays_the_trace",)),
    ),
    (
        (
            "python evaluate.py --sweep rtt",
            "python evaluate.py --sweep rtt --resume DIR",
            "python evaluate.py --sweep rtt --profile wifi --points 5 --kinds ocr --repeats 10",
        ),
        ByTest((_SWEEP,), unnamed=("--profile",)),
    ),
    (
        ("python evaluate.py --sweep bandwidth --quick",),
        ByTest(
            (
                _SWEEP,
                "evidence/test_sweep_settings.py::test_a_quick_sweep_takes_fewer_points_kinds_and_repetitions",
            )
        ),
    ),
    (
        (
            "python evaluate.py --drive --profile congested --policies ppo --tasks 60",
            "python evaluate.py --drive --trace FILE --backend tun --objective latency",
        ),
        ByTest((_DRIVE,), unnamed=("--objective",)),
    ),
    (
        (
            "python evaluate.py --drive --stress outage",
            "python evaluate.py --drive --stress outage --tasks 40 --max-local 2 --policies ppo",
        ),
        ByTest(
            (
                _DRIVE,
                "evidence/test_stress_links.py::test_in_an_outage_nothing_passes_for_five_seconds",
            )
        ),
    ),
    (
        ("python -m evidence.suite --links 5g --policies ppo",),
        ByTest(
            (
                "evidence/test_suite_live.py::test_a_tiny_suite_measures_the_link_the_tasks_and_the_flow",
            )
        ),
    ),
    (
        ("python -m evidence.suite --resume DIR",),
        ByTest(
            (
                "evidence/test_suite_kpis.py::"
                "test_an_interrupted_suite_goes_on_with_the_links_that_are_missing",
            )
        ),
    ),
    (
        ("python -m evidence.report RUN",),
        Run("python -m evidence.report <evaluated>", "report: <evaluated>/report.html"),
    ),
    (
        ("python -m evidence.report RUN RUN --out DIR",),
        Run(
            "python -m evidence.report <evaluated> <evaluated> --out <out>",
            "report: ",
            "report.html",
        ),
    ),
    (
        ("python -m evidence.agreement RUN",),
        Run("python -m evidence.agreement <live> <live> --out <out>", "results:", "agreement.json"),
    ),
)
