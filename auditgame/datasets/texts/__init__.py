"""Texts: vocabularies, grammars, tables of labelled texts."""
