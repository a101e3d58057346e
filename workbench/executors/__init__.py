"""Handing the runs of a study to a cluster that schedules them; nothing here schedules.

One run over several processes is accelerate's; many runs over several machines are a cluster's.
"""
