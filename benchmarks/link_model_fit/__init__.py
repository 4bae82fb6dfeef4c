"""Parts of ``benchmarks/fit_link_model.py``: the transfers, the fit, the scores, the plot."""
