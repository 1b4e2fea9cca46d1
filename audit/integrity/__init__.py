"""The full integrity check: everything re-derived from what was signed, held against the chain.

What is believed, and why, from the strongest down:

1. the chain: its anchored roots were checked by the contract and cannot be rewritten here;
2. statements: signed by keys whose own enrolment is a signed statement earlier in the log;
3. entries: their hashes lead to the anchored roots;
4. every other table: derived, so it is derived again, in the order of the log, and compared.

One pass over the log in chunks; what entries and statements tell by themselves is reread ahead of
it, in other processes when the log is long.

Not re-derived, because what it depended on is gone or changes by design: tables of codes
(``code_uses``, ``spoken_codes``, ``spoken_tries``) hold nothing but what expires within minutes;
whether a spoken code was right; which fields a service item allowed at the time (items are edited
data).

Time may step back by up to a minute (clocks are set); more than that is a finding, because a
statement is taken within a minute of its time and windows of grants would lose their meaning.

Not this package's job: printing, settings, finding the database or the chain, mending anything.
"""
