"""A study from some data: what it is for, what is wrong with it, its recipes. Loads no torch
before it plans."""

from workbench.new_study.draft import METHODS, Choices
from workbench.new_study.questions import Ambiguous, Given
from workbench.new_study.study import Inspected, Planned, inspect, plan_study, with_all_remedies
from workbench.new_study.write import files_of, write_files, write_study
