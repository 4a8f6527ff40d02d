"""What a study survives, a line a promise; the tests that carry its number show it."""

TITLES = {
    1: "a trial's process is killed: it has failed, the others finish",
    2: "the whole study is killed: the same command goes on",
    3: "SIGTERM: checkpoint written, the trial waits again",
    4: "Ctrl-C: runs killed, no orphans, code 130",
    5: "killed while a trial is claimed: not stuck",
    6: "the reaper is killed: a retry is neither lost nor doubled",
    7: "a frozen worker wakes up: its late result is refused",
    8: "the supervisor dies: its workers are gone in 5 s",
    9: "many workers meet an empty database: all start",
    10: "sqlite under contention: nothing lost",
    11: "PostgreSQL restarts during a trial: told once",
    12: "the MLflow server goes away: nothing lost, no step twice",
    13: "NaN or infinity: failed, no objective, no adapter",
    14: "a NaN or all-zero adapter: refused before it is scored",
    15: "the disk is full: the last checkpoint is intact",
    16: "killed inside a save, a damaged file: the last whole one is used",
    17: "resume: the bytes of an unbroken run",
    18: "the same seed twice: the same numbers and bytes",
    19: "resume and parallel workers: no starting point twice",
    20: "the same configuration again: taken from the record",
    21: "a bad cell of a grid: tried as asked, then shown as a hole",
    22: "reloaded adapter and live model: the same scores",
    23: "a trial hangs: killed at its budget, the next one starts",
    24: "a trial eats all memory: it dies, the study lives",
    25: "hostile configuration or model folder: refused",
    26: "secrets: in no file, param, tag, log or page",
    27: "the web pages: this machine alone",
}

NOT_YET = {20, 23, 24, 25, 27}
"""Rows that nothing shows yet. To be emptied."""
