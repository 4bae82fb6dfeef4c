"""Gymnasium environments over the shared cost model.

Importing this package registers ``offload/TaskOffloading-v0``.
"""

from __future__ import annotations

import gymnasium

ENV_ID = "offload/TaskOffloading-v0"

# The registry is global, and a reload of this module must not warn about its own entry.
if ENV_ID not in gymnasium.registry:
    gymnasium.register(id=ENV_ID, entry_point="envs.task_offloading:TaskOffloadingEnv")
