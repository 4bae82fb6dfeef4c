"""Parts of ``benchmarks/irreducible.py``: what is drawn anew of a decision, and what it bounds."""
