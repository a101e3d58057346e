"""The base of every recipe section."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A recipe section: unknown keys, infinities and later changes are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )
