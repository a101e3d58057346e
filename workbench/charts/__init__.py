"""Charts: records in, an Altair chart out; they need the extra ``report`` (or ``ui``)."""
