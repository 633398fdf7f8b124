"""Texts: the words they are made of, and the small worlds that are told in them."""
