"""A packet emulator of our own: one process moves frames between two wires, shaped and seeded.

``direction`` is the pure core, ``ports`` the wires' ends, ``forwarding`` the loop between them,
``__main__`` the process. Backend ``tun`` starts and steers it. It uses the standard library alone.
"""
