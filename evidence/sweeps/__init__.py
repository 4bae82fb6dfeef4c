"""Where offloading stops paying: one quantity of link, device or edge swept, all else kept."""
