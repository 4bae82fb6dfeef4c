"""The chaos suite: faults injected into real parts, and one checker that judges what came of it.

``python -m evidence.chaos --short`` or ``--full``; docs/chaos.md says what each row injects and
what must hold. :mod:`rows` is what a row is, :mod:`history` what it writes, :mod:`invariants` the
judge.
"""
