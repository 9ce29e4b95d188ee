"""One file a step. A step only adds: processes of the version before go on beside it."""
