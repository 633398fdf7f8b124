"""Shared code of text data sets: vocabularies, grammars, tables of labelled texts."""
