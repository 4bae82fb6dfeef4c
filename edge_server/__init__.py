"""The edge server: protocol, dispatcher, worker processes, server and client.

Imports :mod:`offload` alone of the project's packages. Nothing heavy is imported until a worker
runs a task that needs it.
"""
