"""Who may talk to the edge server (CURVE keys and an allow-list), and how much one peer may hold.

docs/security.md says against whom this protects, and where it ends.
"""
