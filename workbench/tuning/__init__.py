"""Searching the values of recipes: the same number of trials for every method, on validation only.

workbench tune STUDY  ->  space           what may be tried, the same rule for every method
                          search          trials in turn, recipe by recipe
                          recipe_search   trials of one recipe: runs without test and export
                          halving         who goes on, of a search that gives trials up
                          journal         optuna's, durable: a killed search can continue
                          trials          scores, failures, costs, the best
                          load_search     searches as they are on the disk; no torch, no optuna
                          write_recipes   recipes with the best values and what they cost
"""
