"""The benchmark suite: the key figures of every link and policy, measured by one command."""
