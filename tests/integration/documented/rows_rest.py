"""The tasks, setting up."""

from __future__ import annotations

from documented.row import ByTest, Not, Row, Run

REST: tuple[Row, ...] = (
    (
        (
            "python -m offload.tasks.profile",
            "python -m offload.tasks.profile --out FILE",
            "python -m offload.tasks.profile --kinds blur --sizes small --seeds 3 --out FILE",
        ),
        ByTest(("offload/tasks/test_task_profile_table.py::test_the_profiler_end_to_end",)),
    ),
    (
        ("python -m offload.tasks.profile --row-s 30",),
        Run(
            "python -m offload.tasks.profile --row-s 0.1 --kinds sudoku --sizes small --seeds 3"
            " --repeats 1 --out <out>/few.json",
            "sudoku",
            "few.json",
            process=True,
        ),
    ),
    (
        ("python -m offload.tasks.profile_report",),
        Run("python -m offload.tasks.profile_report", "| sudoku | small |"),
    ),
    (
        ("python scripts/sample_traces.py",),
        ByTest(("offload/test_link_trace.py::test_the_samples_are_one_link_in_every_format",)),
    ),
    (
        (".venv/bin/python -m pytest -m 'not uml'", "pytest tests/netem"),
        Not("it is what runs this"),
    ),
    (
        ("make run", "make test", "PYTHON=python3.12 make test", "make pretrained"),
        Not("too long for CI, or CI itself; what they run stands in rows of its own"),
    ),
    (
        ("make benchmark", "make benchmark QUICK=1", "make tensorboard", "make help"),
        Not("what they run stands in rows of its own; every target is looked for in the Makefile"),
    ),
    (
        ("pip install -r requirements.txt",),
        Not("setting up did it; every file named is looked for, and the version of torch"),
    ),
    (("git clone X",), Not("CI begins with it")),
    ((".venv/bin/pre-commit install",), Not("it would change the checkout's hooks")),
)
