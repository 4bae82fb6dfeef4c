"""The report of a run: one page that needs nothing else, figures and tables for a paper."""
