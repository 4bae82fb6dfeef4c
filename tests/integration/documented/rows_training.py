"""Training, what it makes, and what is done with it."""

from __future__ import annotations

from documented.row import ByTest, Row, Run

_SHORT = "--steps 512 --lanes 64 --no-tensorboard --out <out>"

TRAINING: tuple[Row, ...] = (
    (("python train.py",), Run(f"python train.py {_SHORT}", "accuracy against", "*/bundle/*.npz")),
    (
        ("python train.py --algo dqn", "python train.py --algo dqn --objective latency"),
        Run(f"python train.py --algo dqn --objective latency {_SHORT}", "-dqn-latency"),
    ),
    (
        ("python train.py --traces DIR --trace-share 0.5",),
        Run(
            f"python train.py --traces <traces> --trace-share 0.5 {_SHORT}",
            "on 2 measured links (50%)",
        ),
    ),
    (
        ("python train.py --resume runs/RUN",),
        Run("python train.py --resume <run> --steps 1024 --no-tensorboard", "trained 1,024 steps"),
    ),
    (
        (
            "python train.py --seeds 5",
            "python train.py --seeds 5 --traces DIR --trace-share 0.5",
        ),
        ByTest(
            (
                "agents/test_seeds_side_by_side.py::"
                "test_interrupted_and_resumed_each_seed_is_as_if_it_had_been_alone",
                "integration/test_evaluate_traces.py::test_training_on_traces",
            )
        ),
    ),
    (
        ("python train.py --seeds 8 --launcher ray --ray-address HOST:PORT",),
        ByTest(
            ("agents/test_ray_launcher.py::test_a_lost_node_costs_its_seed_a_resume_and_no_bit",)
        ),
    ),
    (
        ("python train.py --params FILE --seeds 5",),
        Run(f"python train.py --params <params> --seeds 1 {_SHORT}", "run: "),
    ),
    (
        (
            "python train.py --tune --trials 60",
            "python train.py --tune --trials 60 --steps 500000",
            "python train.py --tune --algo dqn --trials 40 --steps 500000",
        ),
        Run(
            "python train.py --tune --algo dqn --trials 1 --steps 512 --profile wifi --out <out>",
            "study: ",
            "*/best.json",
        ),
    ),
    (
        ("python train.py --calibrate RUN",),
        Run(
            "python train.py --calibrate <live> <live> --out <out>",
            "--calibration",
            "*/calibration.json",
        ),
    ),
    (
        ("python train.py --calibration FILE",),
        Run(f"python train.py --calibration <calibration> {_SHORT}", "run: "),
    ),
    (("python train.py --help",), Run("python train.py --help", "--resume")),
    (
        ("python -m agents.onnx_export BUNDLE FILE",),
        ByTest(
            ("agents/test_onnx_export.py::test_the_command_writes_a_model_that_says_what_it_takes",)
        ),
    ),
    (
        ("python -m agents.decision_map_command BUNDLE FILE",),
        ByTest(
            (
                "agents/test_decision_maps.py::"
                "test_the_command_draws_a_bundle_and_names_what_is_missing",
            )
        ),
    ),
    (
        (
            "python -m agents.pretrain",
            "python -m agents.pretrain --only rivals",
            "python -m agents.pretrain --traces DIR",
        ),
        Run(
            "python -m agents.pretrain --only all --objective energy --traces <traces>"
            " --decisions 6400 --out <out>",
            "imitation-boosting-energy",
            "ppo-energy/weights.npz",
        ),
    ),
    (
        ("python -m tensorboard.main --logdir runs",),
        Run("python -m tensorboard.main --logdir <run> --inspect", "scalars", process=True),
    ),
)
