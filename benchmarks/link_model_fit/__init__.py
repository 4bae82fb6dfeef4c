"""Parts of ``benchmarks/transfers.py`` and ``fit_link_model.py``: campaign, fit, scores, plot."""
