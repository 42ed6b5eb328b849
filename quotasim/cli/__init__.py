"""The command line, one file a verb; ``__main__`` puts them together."""
