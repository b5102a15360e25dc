"""For teachers: a course of chosen exercises, a key of hidden cases, the grades of a class. See docs/teaching.md."""
