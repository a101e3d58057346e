"""The method names of PEFT 0.21, so that a typo is found without importing torch.

A test holds this list to the installed ``peft.PeftType``.
"""

from __future__ import annotations

PEFT_TYPES = tuple(
    """
    ADALORA ADAMSS ADAPTION_PROMPT BEFT BOFT C3A CARTRIDGE CPT DEFT DELORA FOURIERFT FROD GLORA
    GRALORA HIRA HRA IA3 LILY LN_TUNING LOHA LOKR LORA MISS MULTITASK_PROMPT_TUNING OFT OSF PEANUT
    POLY PREFIX_TUNING PROMPT_TUNING PSOFT PVERA P_TUNING RANDLORA ROAD SHADOW SHIRA SUPERTUNING
    TINYLORA TRAINABLE_TOKENS UNILORA VBLORA VERA WAVEFT XLORA
    """.split()
)

CACHE_TYPES = frozenset({"PREFIX_TUNING", "CARTRIDGE"})
"""Those that PEFT feeds as past keys and values, which gradient checkpointing drops."""
