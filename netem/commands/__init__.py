"""The commands of ``python -m netem``, one a file. Each imports what it needs when it runs."""
