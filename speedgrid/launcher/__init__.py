"""A warm start for scripts: one process imports what is slow to import and forks a child for each script.

`server` is that process; the workflow starts it and it ends with the workflow. `client` hands it a script, and runs
the script in a fresh process where there is no server, so that every job also works alone. `guard` ends all work of a
run with the run.
"""

# Where a client finds the server of its run.
ADDRESS_VARIABLE = "SPEEDGRID_LAUNCHER"
# The name of the run that a process works for (speedgrid.launcher.lifetime).
RUN_VARIABLE = "SPEEDGRID_RUN"
# When the run began that a process works for: what is timed for it is one session of measuring.
SESSION_VARIABLE = "SPEEDGRID_SESSION"
