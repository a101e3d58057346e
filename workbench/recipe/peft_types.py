"""The method names of PEFT 0.21, so that a typo is found without importing torch.

A test holds this list to the installed ``peft.PeftType``.
"""

PEFT_TYPES = tuple(
    """
    ADALORA ADAMSS ADAPTION_PROMPT BEFT BOFT C3A CARTRIDGE CPT DEFT DELORA FOURIERFT FROD GLORA
    GRALORA HIRA HRA IA3 LILY LN_TUNING LOHA LOKR LORA MISS MULTITASK_PROMPT_TUNING OFT OSF PEANUT
    POLY PREFIX_TUNING PROMPT_TUNING PSOFT PVERA P_TUNING RANDLORA ROAD SHADOW SHIRA SUPERTUNING
    TINYLORA TRAINABLE_TOKENS UNILORA VBLORA VERA WAVEFT XLORA
    """.split()
)

NOT_ALONE = {
    "ADAPTION_PROMPT": "it exists for Llama-like language models only",
    "CARTRIDGE": "it is distilled from a context, not trained on labels",
    "CPT": "it needs an in-context prompt and a loss of its own",
    "MULTITASK_PROMPT_TUNING": "it needs a task id with every text",
    "POLY": "it needs a task id with every text",
    "XLORA": "it mixes other adapters, which it would load",
}
"""Those that are neither trained by a recipe nor imported as they are, and why."""

ALONE = tuple(name for name in PEFT_TYPES if name not in NOT_ALONE)

CACHE_TYPES = frozenset({"PREFIX_TUNING", "CARTRIDGE"})
"""Those that PEFT feeds as past keys and values, which gradient checkpointing drops."""
