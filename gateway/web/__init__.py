"""The HTTP edge: doors that make a Call of a request, and relays that make a response of a Reply."""
