"""Parts of ``benchmarks/fit_link_process.py``: statistics of links, the fit, the plot."""
