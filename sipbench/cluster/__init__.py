"""Many workers on one results folder, without a driver: what is asked for is frozen, and each takes what is missing.

    plan      what was asked for: its cells, frozen in results/sweeps/NAME
    lease     who does which batch; presence says who is still there
    agenda    what comes next
    labour    one process that does it, under a supervisor that outlives it
    status    how far it is, from any machine

All of it is files in the results folder. Nothing listens, nothing locks, and no clock is compared with another.
"""
