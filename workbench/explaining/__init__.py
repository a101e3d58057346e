"""What an adapter answers to one text, and why: attention, rollout, attribution."""

from workbench.explaining.answers import Answer, answer_text
from workbench.explaining.attention import Attention, attend
from workbench.explaining.attribution import Attribution, attribute
from workbench.explaining.decisions import Decision, decide
from workbench.explaining.encode_text import Reading, Token, encode_text, read_text
from workbench.explaining.resident import Resident
