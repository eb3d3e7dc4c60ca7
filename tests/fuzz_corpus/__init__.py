"""A corpus for the validator's parsers, made anew from numbers instead of kept as files.

`cases.py` makes good inputs by the documented formats and spoils them; case N of a target is the same bytes each time.
`targets.py` has the parsers, and what each may raise. `python -m tests.fuzz_corpus TARGET NUMBER` shows one case.
"""
