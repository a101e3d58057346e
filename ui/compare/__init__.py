"""The Compare view, a tab a module: each reads what it shows, and only when it is open."""
