"""What a stranger can cost. Everything that comes in passes here before the service works on it.

Theory of operation. Whoever connects is unknown, so what is held and done for them is bounded
before it is known who asks, and every bound is on something that is counted here:

- *connections* (`ledger.network`, which the node has too): in all and per address. A full house
  closes the connection that has said least for longest, never one whose request is being answered,
  so who sits idle keeps nobody out. A head is at most 16 KB and has some seconds, a body must keep
  coming, an answer must be fetched.
- *bodies* (`bodies`): each path says how long a body may be, and from which length on its sender
  must show an access token first: the token is in the head, so it is checked before a byte of the
  body is read. What strangers have sent of unfinished bodies is counted, in all and per address.
- *work*: what is parsed on the event loop is at most 64 KB and has few members
  (`api.http.replies`). Wherever else the work of unequal callers meets, it has places (`places`):
  so many at once, so many of one key or address, some kept for terminals, and a time within which
  each hears. Nothing that waits for the database, the node or a file is done outside of one.

An address is the peer's own, or what a proxy says that the operator has named. It is counted by,
and kept nowhere else.
"""
