"""Each task's run gives what its check calls right; its check calls tampered answers wrong."""

from __future__ import annotations

import lzma
import struct
from collections.abc import Callable

import numpy as np
import pytest

from offload.errors import TaskError, UnknownNameError
from offload.tasks import KINDS, get_task, unavailable
from offload.tasks.task import Task

SIZES = [
    pytest.param("small"),
    pytest.param("medium"),
    pytest.param("large", marks=pytest.mark.slow),
]


def task_of(kind: str) -> Task:
    reason = unavailable().get(kind)
    if reason is not None:
        pytest.skip(reason)
    return get_task(kind)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_of_run_is_right(kind: str, size: str) -> None:
    task = task_of(kind)
    for seed in (0, 7):
        assert task.check(size, seed, task.run(task.make_input(size, seed)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_depends_on_size_and_seed_alone(kind: str) -> None:
    task = task_of(kind)
    inputs = {(size, seed): task.make_input(size, seed) for size in task.sizes for seed in range(4)}
    assert len(set(inputs.values())) == len(inputs)
    assert inputs["small", 2] == task.make_input("small", 2)
    assert all(len(payload) <= task.max_input_bytes for payload in inputs.values())
    with pytest.raises(UnknownNameError, match="'medium'"):
        task.make_input("medum", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_to_another_input_is_wrong(kind: str) -> None:
    task = task_of(kind)
    answer = task.run(task.make_input("small", 1))
    # Seeds 2 to 4: two inputs may by chance have answers alike (a face in the same place).
    assert not all(task.check("small", seed, answer) for seed in (2, 3, 4))


def _altered_matrix(answer: bytes) -> bytes:
    product = np.frombuffer(answer, dtype="<f4").copy()
    product[777] += 0.1
    return product.tobytes()


def _not_a_number(answer: bytes) -> bytes:
    product = np.frombuffer(answer, dtype="<f4").copy()
    product[5] = np.nan
    return product.tobytes()


def _moved_faces(answer: bytes) -> bytes:
    numbers = list(struct.unpack(f"<{len(answer) // 2}H", answer))
    numbers[1] += numbers[3]  # the first face, one width to the right
    return struct.pack(f"<{len(numbers)}H", *numbers)


def _doubled_faces(answer: bytes) -> bytes:
    (count,) = struct.unpack_from("<H", answer)
    return struct.pack("<H", count + 2) + answer[2:] + answer[2:10] * 2


def _first_row_rotated(answer: bytes) -> bytes:
    return answer[1:9] + answer[:1] + answer[9:]


TAMPERED: dict[str, list[Callable[[bytes], bytes]]] = {
    "chess": [
        lambda answer: b"%b %d" % (answer.split()[0], int(answer.split()[1]) + 1),
        lambda answer: b"%b %d" % (answer.split()[0], int(answer.split()[1]) - 1),
        lambda answer: b"a1a1 0",
        lambda answer: answer.split()[0],
    ],
    "sudoku": [
        _first_row_rotated,
        lambda answer: answer[:-1] + b".",
        lambda answer: b"123456789" * 9,
    ],
    "ocr": [lambda answer: answer.replace(b"e", b"o").replace(b"a", b"o"), lambda answer: b"\xff"],
    "face": [_moved_faces, _doubled_faces, lambda answer: b"\0\0", lambda answer: answer[:-1]],
    "lzma": [
        lambda answer: lzma.compress(lzma.decompress(answer)[:-1] + b"?"),
        lambda answer: lzma.compress(lzma.decompress(answer) + b"?"),
        lambda answer: answer[:-4],
        lambda answer: answer + b"\0\0\0\0",
    ],
    "matmul": [_altered_matrix, _not_a_number, lambda answer: answer[:-4]],
    "blur": [],  # below: they need the input
    "denoise": [],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tampered_answer_is_wrong(kind: str) -> None:
    task = task_of(kind)
    answer = task.run(task.make_input("small", 1))
    assert task.check("small", 1, answer)
    for tamper in [*TAMPERED[kind], lambda answer: b"", lambda answer: answer[: len(answer) // 2]]:
        assert not task.check("small", 1, tamper(answer))


@pytest.mark.parametrize("kind", ["blur", "denoise"])
def test_an_image_that_was_not_worked_on_is_wrong(kind: str) -> None:
    import cv2

    from offload.tasks.images import decode_image, encode_jpeg

    task = task_of(kind)
    given = task.make_input("small", 1)
    pixels = decode_image(kind, given, 1_000_000)
    assert not task.check("small", 1, given)
    too_soft = np.asarray(cv2.GaussianBlur(pixels, (0, 0), 9.0), dtype=np.uint8)
    assert not task.check("small", 1, encode_jpeg(too_soft, 95))
    assert not task.check("small", 1, encode_jpeg(pixels[:-16], 95))


def test_blur_and_denoise_take_the_same_bytes() -> None:
    assert task_of("blur").make_input("medium", 3) == task_of("denoise").make_input("medium", 3)


def test_sudoku_finds_the_one_solution_of_a_published_puzzle() -> None:
    # The example of Wikipedia's article "Sudoku".
    puzzle = b"53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
    solution = b"534678912672195348198342567859761423426853791713924856961537284287419635345286179"
    assert task_of("sudoku").run(puzzle) == solution


def test_sudoku_without_a_solution_ends_in_an_error() -> None:
    # Column 9 of the first row can be neither 9 (its column has one) nor anything else.
    puzzle = b"12345678." + b"........9" + b"." * 63
    with pytest.raises(TaskError, match="no solution"):
        task_of("sudoku").run(puzzle)


def test_chess_finds_a_mate_in_one_and_a_free_queen() -> None:
    task = task_of("chess")
    assert task.run(b"2 6k1/5ppp/8/8/8/8/8/R5K1 w - - 0 1") == b"a1a8 100000"
    move, score = task.run(b"1 7k/8/8/3q4/4P3/8/8/7K w - - 0 1").split()
    assert move == b"e4d5"
    assert int(score) == 112  # a pawn, and 12 for standing in the centre


@pytest.mark.parametrize("order", [1, 3, 64])
def test_matmul_agrees_with_float64(order: int) -> None:
    rng = np.random.default_rng(5)
    first, second = rng.standard_normal((2, order, order)).astype("<f4")
    payload = struct.pack("<4sI", b"MMF4", order) + first.tobytes() + second.tobytes()
    product = np.frombuffer(task_of("matmul").run(payload), dtype="<f4").reshape(order, order)
    wanted = first.astype(np.float64) @ second.astype(np.float64)
    np.testing.assert_allclose(product, wanted, atol=1e-4)


def test_edit_distance_of_the_textbook_example() -> None:
    if "ocr" in unavailable():
        pytest.skip(unavailable()["ocr"])
    from offload.tasks.ocr import edit_distance

    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == 3
    assert edit_distance("same", "same") == 0
