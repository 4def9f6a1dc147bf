"""Hook tools: the server that answers them, the client that charms call, and the tools."""
