"""What ``check`` finds in policies that can be read: not what is wrong, but what its author will not have meant."""
