"""The base model and its tokenizer, as a plain load gives them."""

from workbench.models.attention import set_attention
from workbench.models.base import Base
from workbench.models.first_token import only_first_token
from workbench.models.loading import (
    embedding_rows,
    empty_base,
    fake_base,
    has_sdpa,
    load_base,
    load_config,
    load_tokenizer,
    weights_fingerprint,
)
from workbench.models.location import local_fingerprint
from workbench.models.onednn import products_by_onednn
from workbench.models.policy import policy_for
from workbench.models.refusals import check_positions
