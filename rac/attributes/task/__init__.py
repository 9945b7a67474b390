"""The task of one attribute: all that its answers are fitted to, and what is asked of them."""
