"""Export: adapters of finished runs out, foreign adapters in."""

import streamlit as st

from export import export_tab, import_tab
from layout import heading


def page() -> None:
    """The view: two tabs, which one stands in the address."""
    heading(
        "Export", "Export adapters as plain PEFT folders with a model card; import those of others."
    )
    out, into = st.tabs(["Export", "Import"], key="way", bind="query-params")
    with out:
        export_tab.show()
    with into:
        import_tab.show()


page()
