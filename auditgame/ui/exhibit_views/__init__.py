"""How exhibits are drawn on a page."""
