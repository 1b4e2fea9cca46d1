"""How keys get in: institutions, sites, devices, invitations; and how devices are frozen."""
