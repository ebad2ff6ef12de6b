"""What was disclosed to whom: the ledger, its search index, its questions."""
