"""What the model cards of several tasks have in common: the lines that ask a model.

They do what the workbench does, by transformers and PEFT alone: a copy of the card answers as
`load_adapter` answers, one text at a time.
"""

from collections.abc import Iterator
from typing import Any

from transformers import PreTrainedTokenizerBase

About = dict[str, Any]
"""What ``workbench.json`` of an export says."""


def truncation(about: About) -> str:
    """Arguments of the tokenizer that cut a text as the training did."""
    return f"truncation=True, max_length={about['max_length']}"


def text_only(about: About) -> str:
    """The index of the text's own positions, behind a soft prompt and after the row's."""
    return f", {about['virtual_tokens']}:" if about["virtual_tokens"] else ""


def prompt_note(about: About) -> Iterator[str]:
    """A comment on what the index leaves out."""
    if about["virtual_tokens"]:
        yield f"# The first {about['virtual_tokens']} positions are the soft prompt's."


def end_removed(about: About) -> Iterator[str]:
    """Takes off the end token that some tokenizers put behind every text."""
    if about["reading"]["appends_end"]:
        yield "# The tokenizer ends every text; this one is to be continued."
        yield "inputs = {name: values[:, :-1] for name, values in inputs.items()}"


def appends_end(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer puts an end token behind every text."""
    ends = {tokenizer.eos_token_id, tokenizer.sep_token_id}
    return tokenizer("a")["input_ids"][-1] in ends
