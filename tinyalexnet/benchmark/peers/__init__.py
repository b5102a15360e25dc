"""The same network in other frameworks, each in a process of its own, to be timed against: see ``versus.py``.

Such a process runs ``worker.py``. It and the networks beside it import nothing of this package, so that the
interpreter of a framework's own environment can run them; that needs the framework and NumPy.
"""
