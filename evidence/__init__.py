"""What is shown with all parts joined: measured by live runs, beside what the models predict.

Joins :mod:`testbed` and :mod:`agents`; nothing but the commands and the benchmarks imports it.
"""
