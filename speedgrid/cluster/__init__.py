"""More than one machine: one job of a scheduler for each, with the whole local workflow inside it.

`machines` reads what a user asks for, `place` makes the folder of a machine's run, `script` the job that runs in it;
`slurm` talks to Slurm, `campaign` submits and follows. Within its one allocation a run is what it is on a workstation:
launcher, locks, order, staleness and fingerprint are those of the node.
"""
