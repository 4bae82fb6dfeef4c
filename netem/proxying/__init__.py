"""The process behind backend ``proxy``: forwards TCP connections, each direction shaped."""
