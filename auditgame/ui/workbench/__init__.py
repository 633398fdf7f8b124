"""The workbench: tools, text editing, evidence and the case file."""
