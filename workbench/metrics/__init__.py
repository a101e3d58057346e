"""Scores of answers, per split and per example, and the baselines that they are judged by."""
