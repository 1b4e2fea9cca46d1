# pragma version 0.4.3
"""
@title Ownership handed over in two steps
@notice The account that answers for a contract. A new owner must accept, so that a mistyped address
        can never lock the institution out. Not its job: what the owner may do.
"""

event OwnershipOffered:
    owner: indexed(address)
    heir: indexed(address)

event OwnershipTaken:
    former: indexed(address)
    owner: indexed(address)

owner: public(address)
heir: public(address)


@deploy
def __init__():
    self._take(msg.sender)


@external
def offer_ownership(heir: address):
    """
    @notice Name the next owner (the empty address withdraws the offer). Nothing changes until it accepts.
    """
    self._check_owner()
    self.heir = heir
    log OwnershipOffered(owner=self.owner, heir=heir)


@external
def accept_ownership():
    assert msg.sender == self.heir, "ownership: not the heir"
    self._take(msg.sender)


@internal
@view
def _check_owner():
    assert msg.sender == self.owner, "ownership: not the owner"


@internal
def _take(owner: address):
    former: address = self.owner
    self.owner = owner
    self.heir = empty(address)
    log OwnershipTaken(former=former, owner=owner)
