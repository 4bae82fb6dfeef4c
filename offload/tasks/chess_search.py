"""Game-tree search: a position goes in, a move comes out, and the work grows tenfold a ply.

Needs the optional package ``chess`` (GPL-3; this project is MIT, so it is no dependency).
"""

from __future__ import annotations

import chess

from offload.errors import TaskError
from offload.tasks.task import Task

_DEPTHS = {"small": 2, "medium": 3, "large": 4}
"""Half-moves looked ahead."""
_MAX_DEPTH = 4
"""Each half-move more takes some ten times as long."""
_PLIES = (2, 8)
"""Fewest and most random half-moves played from the test position."""
_MATE = 100_000
_PLAIN_MINIMAX_DEPTH = 2

_BRATKO_KOPEC = (
    "1k1r4/pp1b1R2/3q2pp/4p3/2B5/4Q3/PPP2B2/2K5 b - - 0 1",
    "3r1k2/4npp1/1ppr3p/p6P/P2PPPP1/1NR5/5K2/2R5 w - - 0 1",
    "2q1rr1k/3bbnnp/p2p1pp1/2pPp3/PpP1P1P1/1P2BNNP/2BQ1PRK/7R b - - 0 1",
    "rnbqkb1r/p3pppp/1p6/2ppP3/3N4/2P5/PPP1QPPP/R1B1KB1R w KQkq - 0 1",
    "r1b2rk1/2q1b1pp/p2ppn2/1p6/3QP3/1BN1B3/PPP3PP/R4RK1 w - - 0 1",
    "2r3k1/pppR1pp1/4p3/4P1P1/5P2/1P4K1/P1P5/8 w - - 0 1",
    "1nk1r1r1/pp2n1pp/4p3/q2pPp1N/b1pP1P2/B1P2R2/2P1B1PP/R2Q2K1 w - - 0 1",
    "4b3/p3kp2/6p1/3pP2p/2pP1P2/4K1P1/P3N2P/8 w - - 0 1",
    "2kr1bnr/pbpq4/2n1pp2/3p3p/3P1P1B/2N2N1Q/PPP3PP/2KR1B1R w - - 0 1",
    "3rr1k1/pp3pp1/1qn2np1/8/3p4/PP1R1P2/2P1NQPP/R1B3K1 b - - 0 1",
    "2r1nrk1/p2q1ppp/bp1p4/n1pPp3/P1P1P3/2PBB1N1/4QPPP/R4RK1 w - - 0 1",
    "r3r1k1/ppqb1ppp/8/4p1NQ/8/2P5/PP3PPP/R3R1K1 b - - 0 1",
    "r2q1rk1/4bppp/p2p4/2pP4/3pP3/3Q4/PP1B1PPP/R3R1K1 w - - 0 1",
    "rnb2r1k/pp2p2p/2pp2p1/q2P1p2/8/1Pb2NP1/PB2PPBP/R2Q1RK1 w - - 0 1",
    "2r3k1/1p2q1pp/2b1pr2/p1pp4/6Q1/1P1PP1R1/P1PN2PP/5RK1 w - - 0 1",
    "r1bqkb1r/4npp1/p1p4p/1p1pP1B1/8/1B6/PPPN1PPP/R2Q1RK1 w kq - 0 1",
    "r2q1rk1/1ppnbppp/p2p1nb1/3Pp3/2P1P1P1/2N2N1P/PPB1QP2/R1B2RK1 b - - 0 1",
    "r1bq1rk1/pp2ppbp/2np2p1/2n5/P3PP2/N1P2N2/1PB3PP/R1B1QRK1 b - - 0 1",
    "3rr3/2pq2pk/p2p1pnp/8/2QBPP2/1P6/P5PP/4RRK1 b - - 0 1",
    "r4k2/pb2bp1r/1p1qp2p/3pNp2/3P1P2/2N3P1/PPP1Q2P/2KRR3 w - - 0 1",
    "3rn2k/ppb2rpp/2ppqp2/5N2/2P1P3/1P5Q/PB3PPP/3RR1K1 w - - 0 1",
    "2r2rk1/1bqnbpp1/1p1ppn1p/pP6/N1P1P3/P2B1N1P/1B2QPP1/R2R2K1 b - - 0 1",
    "r1bqk2r/pp2bppp/2p5/3pP3/P2Q1P2/2N1B3/1PP3PP/R4RK1 b kq - 0 1",
    "r2qnrnk/p2b2b1/1p1p2pp/2pPpp2/1PP1P3/PRNBB3/3QNPPP/5RK1 w - - 0 1",
)
"""Kopec and Bratko, "The Bratko-Kopec experiment", Advances in Computer Chess 3, 1982."""

_VALUES = {
    chess.PAWN: 100,
    chess.KNIGHT: 320,
    chess.BISHOP: 330,
    chess.ROOK: 500,
    chess.QUEEN: 900,
}
_CENTRE = chess.BB_D4 | chess.BB_E4 | chess.BB_D5 | chess.BB_E5
_RING = (
    (chess.BB_FILE_C | chess.BB_FILE_D | chess.BB_FILE_E | chess.BB_FILE_F)
    & (chess.BB_RANK_3 | chess.BB_RANK_4 | chess.BB_RANK_5 | chess.BB_RANK_6)
    & ~_CENTRE
)


class ChessTask(Task):
    """In: ``b"DEPTH FEN"``. Out: ``b"MOVE SCORE"``: the best move (UCI) and its centipawns."""

    kind = "chess"
    max_input_bytes = 128

    def make_input(self, size: str, seed: int) -> bytes:
        """A Bratko-Kopec position some random moves on, and the depth of that size."""
        rng = self._rng(size, seed)
        while True:
            board = chess.Board(_BRATKO_KOPEC[int(rng.integers(len(_BRATKO_KOPEC)))])
            for _ in range(int(rng.integers(_PLIES[0], _PLIES[1] + 1))):
                moves = list(board.legal_moves)
                if not moves:
                    break
                board.push(moves[int(rng.integers(len(moves)))])
            if any(board.legal_moves):
                return f"{_DEPTHS[size]} {board.fen()}".encode()

    def _run(self, payload: bytes) -> bytes:
        board, depth = _decode(payload)
        best, low = None, -2 * _MATE
        for move in _ordered(board):
            board.push(move)
            score = -_alpha_beta(board, depth - 1, -2 * _MATE, -low)
            board.pop()
            if score > low:
                best, low = move, score
        if best is None:
            raise TaskError(f"chess: no legal move in {board.fen()}")
        return f"{best.uci()} {low}".encode()

    def check(self, size: str, seed: int, output: bytes) -> bool:
        """The move is legal and its score is the position's minimax value.

        At depth 2 the value comes from plain minimax; deeper, two searches with a window of one
        point prove it: no move scores more, and the given move scores as much.
        """
        board, depth = _decode(self.make_input(size, seed))
        try:
            text, _, number = output.decode("ascii").partition(" ")
            move, score = chess.Move.from_uci(text), int(number)
        except ValueError:  # UnicodeDecodeError and chess.InvalidMoveError are ValueErrors
            return False
        if move not in board.legal_moves:
            return False
        if depth <= _PLAIN_MINIMAX_DEPTH:
            scores = {legal: _after(board, legal, depth) for legal in board.legal_moves}
            return scores[move] == score == max(scores.values())
        return _scores_at_least(board, move, depth, score) and not any(
            _scores_at_least(board, other, depth, score + 1) for other in board.legal_moves
        )


def _decode(payload: bytes) -> tuple[chess.Board, int]:
    try:
        depth_text, _, fen = payload.decode("ascii").partition(" ")
        depth, board = int(depth_text), chess.Board(fen)
    except ValueError as error:
        raise TaskError(f"chess: 'DEPTH FEN' is due, not {payload[:100]!r}: {error}") from error
    if not 1 <= depth <= _MAX_DEPTH:
        raise TaskError(f"chess: depth {depth} is not from 1 to {_MAX_DEPTH}")
    if not board.is_valid():
        raise TaskError(f"chess: the position {fen!r} cannot occur: {board.status()!r}")
    return board, depth


def _evaluate(board: chess.Board) -> int:
    """Material and presence in the centre, in centipawns, for the side to move."""
    own, other = board.occupied_co[board.turn], board.occupied_co[not board.turn]
    score = 0
    for piece, value in _VALUES.items():
        mask = board.pieces_mask(piece, chess.WHITE) | board.pieces_mask(piece, chess.BLACK)
        score += value * ((own & mask).bit_count() - (other & mask).bit_count())
    score += 12 * ((own & _CENTRE).bit_count() - (other & _CENTRE).bit_count())
    score += 5 * ((own & _RING).bit_count() - (other & _RING).bit_count())
    return score


def _ordered(board: chess.Board) -> list[chess.Move]:
    """Legal moves, captures first: alpha-beta cuts earlier. Ties keep the generator's order."""
    taken = board.occupied_co[not board.turn]
    return sorted(board.legal_moves, key=lambda move: not taken >> move.to_square & 1)


def _alpha_beta(board: chess.Board, depth: int, low: int, high: int) -> int:
    """Fail-hard alpha-beta in negamax form (Knuth and Moore, Artificial Intelligence 1975)."""
    if depth == 0:
        return max(low, min(high, _evaluate_or_end(board)))
    moves = _ordered(board)
    if not moves:
        return max(low, min(high, _end(board)))
    for move in moves:
        board.push(move)
        score = -_alpha_beta(board, depth - 1, -high, -low)
        board.pop()
        if score >= high:
            return high
        low = max(low, score)
    return low


def _evaluate_or_end(board: chess.Board) -> int:
    return _evaluate(board) if any(board.legal_moves) else _end(board)


def _end(board: chess.Board) -> int:
    """Value of a position without moves: lost when in check, drawn when not."""
    return -_MATE if board.is_check() else 0


def _minimax(board: chess.Board, depth: int) -> int:
    """Value by looking at every line, without any cut."""
    if not any(board.legal_moves):
        return _end(board)
    if depth == 0:
        return _evaluate(board)
    return max(_after(board, move, depth) for move in list(board.legal_moves))


def _after(board: chess.Board, move: chess.Move, depth: int) -> int:
    """Value of ``move`` for the side that makes it, by plain minimax."""
    board.push(move)
    score = -_minimax(board, depth - 1)
    board.pop()
    return score


def _reaches(board: chess.Board, depth: int, score: int) -> bool:
    """Can the side to move force at least ``score`` within ``depth`` plies? Yes or no only."""
    moves = _ordered(board)
    if not moves:
        return _end(board) >= score
    if depth == 0:
        return _evaluate(board) >= score
    return any(_scores_at_least(board, move, depth, score) for move in moves)


def _scores_at_least(board: chess.Board, move: chess.Move, depth: int, score: int) -> bool:
    """Is ``move`` worth at least ``score`` to the side that makes it?"""
    board.push(move)
    # The other side must not be able to reach more than -score, so not -score + 1.
    answer = not _reaches(board, depth - 1, -score + 1)
    board.pop()
    return answer


TASK = ChessTask()
