"""The command line: the top of the house, which alone imports every room, and late."""
