"""Evidence: what speaks for each answer of a cell; one source a file, listed in ``registry``."""
