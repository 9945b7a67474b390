"""The front door for Python: thin modules over the rooms behind it, and what they give back.

Their functions and classes are imported from ``rac`` itself.
"""
