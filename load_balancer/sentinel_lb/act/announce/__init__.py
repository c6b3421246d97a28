"""How the network learns of our addresses: one port, `announce(all addresses)`, and a back end for each way."""
