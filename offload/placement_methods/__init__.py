"""Exact methods for the placement of a call graph, each quick for the problems that it fits.

:mod:`offload.ladder` chooses among them; what fits none goes to the integer program. All work on
the free components of a graph (:mod:`.free_program`) and for many sets of amounts at once where
that is natural: the first axis, ``batch``.
"""
