"""The model that device, edge server, simulator and agents share.

This package imports no other package of the project, and neither torch, zmq nor gymnasium,
so it runs on the device as it is.
"""
