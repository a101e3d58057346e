"""Searching the values of recipes: the same number of trials for every method, on validation only.

    workbench tune STUDY  ->  space      what may be tried, the same rule for every method
                              searching  trials in turn: runs that neither test nor export
                              journal    optuna's, durable: a killed search can continue
                              trials     scores, failures, costs, the best
                              reading    searches as they stand on the disk, for who only looks
                              writing    recipes with the best values and what they cost

Only ``searching`` and ``journal`` load torch and optuna; the others parse, read and write.
"""
