"""The state of workflow runs: the runs, their steps and writes, and what they wait for."""
