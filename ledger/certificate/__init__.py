"""What a certificate is: the numbers in it, the signed credential, its life cycle. Pure."""
