"""What report and UI both compute from finished runs. Loads no torch."""
