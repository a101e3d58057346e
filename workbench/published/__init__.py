"""Numbers that papers published, and runs beside them. Loads no torch."""

from workbench.published.beside import Beside, Match, beside_papers
from workbench.published.tables import Published, published

__all__ = ["Beside", "Match", "Published", "beside_papers", "published"]
