"""What an operator sees of a server or a client: counters, a metrics page, health, task logs.

The loop that serves only adds to plain numbers (:mod:`edge_server.watching.tally`); a thread of its
own turns them into a page when somebody asks. docs/operations.md lists every metric.
"""
