"""Ways to run an image tower on this machine; :mod:`rac.encoders.runtimes.choose` picks one."""
