"""Charts: records in, an Altair chart out. Nothing here knows Streamlit or reads a file.

The UI and the report draw with the same functions; ``figures.FIGURES`` lists what both show of a
comparison. They need the extra ``report`` (or ``ui``).
"""
